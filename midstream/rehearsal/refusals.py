"""What the API says when it refuses: the reasons the store does not know, and the Status object."""

from midstream.rehearsal.store import Kind, Object, StoreError


class BadRequestError(StoreError):
    """The request makes no sense as it was sent."""

    code = 400
    reason = "BadRequest"


class ForbiddenError(StoreError):
    """A rule denies it."""

    code = 403
    reason = "Forbidden"


class UnknownPathError(StoreError):
    """No resource has this path."""

    code = 404
    reason = "NotFound"


class MethodNotAllowedError(StoreError):
    """The resource is there but not for this method."""

    code = 405
    reason = "MethodNotAllowed"


class TooLongError(StoreError):
    """The body is too long."""

    code = 413
    reason = "RequestEntityTooLarge"


class MediaTypeError(StoreError):
    """A patch of a kind that this resource does not take."""

    code = 415
    reason = "UnsupportedMediaType"


def refusal(error: StoreError, kind: Kind | None = None, name: str | None = None) -> Object:
    """The error as a Kubernetes Status."""
    details: Object = {}
    if kind is not None:
        details = {"kind": kind.plural, "group": kind.group}
    if name is not None:
        details["name"] = name
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": str(error),
        "reason": error.reason,
        "details": details,
        "code": error.code,
    }


def success(kind: Kind, obj: Object) -> Object:
    """What a deletion is answered with that does not show the object."""
    metadata = obj["metadata"]
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {
            "name": metadata["name"],
            "group": kind.group,
            "kind": kind.plural,
            "uid": metadata["uid"],
        },
    }
