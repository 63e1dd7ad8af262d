"""What boto3 raises, in our words: by type, code and status. What is none of these stays what it was, a bug."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from steps.errors import BadInput, Conflict, Missing, NoSpace, StepError, Transient


@dataclass(frozen=True)
class Kind:
    error: type[StepError]
    advice: str
    codes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()


# The first one that knows the code, else the first one that knows the status.
KINDS = (
    Kind(
        NoSpace,
        "make room in the bucket or raise its quota",
        frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}),
        frozenset({507}),
    ),
    Kind(
        Conflict,
        "another run is at the same object",
        frozenset({"PreconditionFailed", "NoSuchUpload"}),
        frozenset({412}),
    ),
    Kind(
        BadInput,
        "set AWS_REGION to where the bucket is",
        frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect"}),
        frozenset({301}),
    ),
    Kind(
        BadInput,
        "if this store does not know boto3's checksums, set VLLM_PROMOTE_S3_CHECKSUMS=when_required",
        frozenset({"InvalidArgument", "InvalidRequest", "MalformedTrailerError", "NotImplemented"}),
    ),
    Kind(
        Transient,
        "what arrived is not what was sent",
        frozenset({"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"}),
    ),
    Kind(
        Transient,
        "it may answer later",
        frozenset({"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown", "Throttling"}),
        frozenset({408, 409, 429, *range(500, 600)}),
    ),
    Kind(
        Missing,
        "create it, or set VLLM_PROMOTE_BUCKET and AWS_ENDPOINT_URL to where it is",
        frozenset({"NoSuchBucket"}),
        frozenset({404}),
    ),
    Kind(
        Missing,
        "check the S3 credentials, their rights on this bucket, and the clock",
        # To a HEAD, a token that has expired is a 400 without a body.
        frozenset({"ExpiredToken", "InvalidToken", "RequestExpired", "TokenRefreshRequired", "400", "BadRequest"}),
        frozenset({401, 403}),
    ),
)
UNANSWERED: tuple[tuple[tuple[type[boto.BotoCoreError], ...], type[StepError], str], ...] = (
    (
        (boto.NoCredentialsError, boto.PartialCredentialsError),
        Missing,
        "there are no S3 credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (
        (boto.SSLError,),
        Missing,
        "the certificate of the store is not trusted; set AWS_CA_BUNDLE to the file of the CA that signed it",
    ),
    (
        (
            boto.ConnectionError,
            boto.CredentialRetrievalError,
            boto.FlexibleChecksumError,
            boto.HTTPClientError,
            boto.IncompleteReadError,
        ),
        Transient,
        "the store did not answer, or not in full; if that lasts, check AWS_ENDPOINT_URL, the proxy and the network",
    ),
)


@contextmanager
def translated(verb: str, where: str) -> Iterator[None]:
    """``verb`` and ``where`` say what is tried: write, s3://BUCKET/KEY."""
    try:
        yield
    except boto.ClientError as err:
        code, status = code_of(err), status_of(err)
        if kind := _kind(code, status):
            raise kind.error(f"cannot {verb} {where}: the store said {status} {code}; {kind.advice}") from err
        raise
    except ResponseParserError as err:
        raise not_s3(verb, where) from err
    except boto.BotoCoreError as err:
        for types, error, sentence in UNANSWERED:
            if isinstance(err, types):
                raise error(f"cannot {verb} {where}: {sentence}") from err
        raise


def require(answer: Mapping[str, Any], field: str, verb: str, where: str) -> None:
    """Raises Missing for an answer without a field that every S3 gives: boto3 reads a web page as an empty answer."""
    if field not in answer:
        raise not_s3(verb, where)


def not_s3(verb: str, where: str) -> Missing:
    return Missing(
        f"cannot {verb} {where}: what answered is no S3 store; set AWS_ENDPOINT_URL to one, or mend the proxy"
    )


def code_of(err: boto.ClientError) -> str:
    """In answers to HEAD, which have no body, it is the status."""
    return str(err.response.get("Error", {}).get("Code", ""))


def status_of(err: boto.ClientError) -> int:
    return int(err.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _kind(code: str, status: int) -> Kind | None:
    return next((k for k in KINDS if code in k.codes), None) or next((k for k in KINDS if status in k.statuses), None)
