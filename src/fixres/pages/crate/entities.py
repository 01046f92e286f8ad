"""How the entities of a crate are written down, and the vocabularies that they are of.

An id follows from what the entity is: the path of a file, the id of a job, a digest of a machine.
"""

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

VERSION = "1.1"  # of RO-Crate, which the profiles below are of
WFRUN = "https://w3id.org/ro/terms/workflow-run/context"
PROFILES = {  # that a crate conforms to -> name
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.5": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
WORKFLOW = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
COMPLETED = "http://schema.org/CompletedActionStatus"
FAILED = "http://schema.org/FailedActionStatus"
SECOND = "https://qudt.org/vocab/unit/SEC"

Reference = dict[str, str]  # {"@id": …}


def add(crate: ROCrate, name: str, kind: str | list[str], /, **values: object) -> Reference:
    """Add an entity for something that is not a file of the crate, and return a reference to it.

    Values that are empty or None are left out: they are not known.
    """
    known = {key: single(value) for key, value in values.items() if value not in (None, "", [])}
    crate.add(ContextEntity(crate, name, properties={"@type": kind, **known}))
    return {"@id": name}


def single(value: object) -> object:
    """A value, in place of a list that holds it alone: RO-Crate writes it like that."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def value(crate: ROCrate, name: str, /, **values: object) -> Reference:
    """Add a PropertyValue."""
    return add(crate, name, "PropertyValue", **values)
