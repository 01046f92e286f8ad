"""Validate an RO-Crate: `.venv/crate-check/bin/python tests/crate_check.py FOLDER`.

It prints a JSON list of [severity, message, entity]: what the folder lacks of what its profile
requires or recommends. Nothing is fetched: in place of the two vocabularies of the crate's
metadata, the validator is given the terms that the suite uses. So a term that is not listed here
is an issue, too.
"""

import json
import sys

import requests
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.utils.http import HttpRequester

PROFILE = "provenance-run-crate"  # it includes the profiles that it builds on
SCHEMA_ORG = """
about actionStatus additionalProperty additionalType affiliation author citation conditionsOfAccess
contentSize creator datePublished description encodingFormat endTime error exampleOfWork hasPart
identifier instrument license location mainEntity mentions name object position programmingLanguage
propertyID result softwareRequirements softwareVersion startTime step unitCode url value version
workExample

ComputerLanguage ControlAction CreateAction CreativeWork Dataset HowTo HowToStep Organization
OrganizeAction Person Place PropertyValue ScholarlyArticle SoftwareApplication SoftwareSourceCode
"""
BIOSCHEMAS = "https://bioschemas.org/"
ROCRATE = {term: f"http://schema.org/{term}" for term in SCHEMA_ORG.split()} | {
    "File": "http://schema.org/MediaObject",
    "conformsTo": "http://purl.org/dc/terms/conformsTo",
    "ComputationalWorkflow": f"{BIOSCHEMAS}ComputationalWorkflow",
    "FormalParameter": f"{BIOSCHEMAS}FormalParameter",
    "input": f"{BIOSCHEMAS}ComputationalWorkflow#input",
    "output": f"{BIOSCHEMAS}ComputationalWorkflow#output",
}
WORKFLOW_RUN = {
    term: f"https://w3id.org/ro/terms/workflow-run#{term}" for term in ("resourceUsage", "sha256")
}
VOCABULARIES = {
    "https://w3id.org/ro/crate/1.1/context": ROCRATE,
    "https://w3id.org/ro/terms/workflow-run/context": WORKFLOW_RUN,
}


class Here(requests.adapters.BaseAdapter):
    """Answers requests for the vocabularies, and says of all else that it is not there."""

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        answer = requests.Response()
        answer.url, answer.request = request.url, request
        answer.status_code = 200 if request.url in VOCABULARIES else 404
        answer._content = json.dumps({"@context": VOCABULARIES.get(request.url, {})}).encode()
        answer.headers["Content-Type"] = "application/ld+json"
        return answer

    def close(self) -> None:
        pass


def main(folder: str) -> None:
    settings = ValidationSettings(
        rocrate_uri=folder,
        profile_identifier=PROFILE,
        requirement_severity=Severity.RECOMMENDED,
        no_cache=True,
    )
    for scheme in ("http://", "https://"):
        HttpRequester().session.mount(scheme, Here())
    found = services.validate(settings).get_issues()
    issues = [(one.severity.name, one.message.strip(), str(one.violatingEntity)) for one in found]
    print(json.dumps(sorted(issues)))


if __name__ == "__main__":
    main(*sys.argv[1:])
