// A page that is opened as a file may not read other files, which the summaries under results need.
DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = location.protocol !== "file:";
