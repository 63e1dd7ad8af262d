import pytest
from botocore import exceptions as boto

from steps.clients.store_errors import translated
from steps.errors import BadInput, Conflict, Missing, NoSpace, Transient


def client_error(status: int, code: str) -> boto.ClientError:
    response = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return boto.ClientError(response, "PutObject")


@pytest.mark.parametrize(
    ("status", "code", "ours"),
    [
        (507, "InsufficientStorage", NoSpace),
        (507, "", NoSpace),
        (403, "QuotaExceeded", NoSpace),
        (412, "PreconditionFailed", Conflict),
        (404, "NoSuchUpload", Conflict),
        (409, "ConditionalRequestConflict", Transient),
        (500, "InternalError", Transient),
        (503, "SlowDown", Transient),
        (429, "TooManyRequests", Transient),
        (400, "RequestTimeout", Transient),
        (400, "BadDigest", Transient),
        (404, "NoSuchBucket", Missing),
        (404, "404", Missing),
        (403, "AccessDenied", Missing),
        (403, "SignatureDoesNotMatch", Missing),
        (403, "RequestTimeTooSkewed", Missing),
        (400, "ExpiredToken", Missing),
        (400, "400", Missing),  # the same, as a HEAD is told
        (400, "BadRequest", Missing),
        (400, "InvalidArgument", BadInput),
        (501, "NotImplemented", BadInput),
        (301, "PermanentRedirect", BadInput),
    ],
)
def test_what_a_store_says_is_translated_by_code_and_status(status, code, ours):
    with pytest.raises(ours) as failure, translated("write", "s3://models/a"):
        raise client_error(status, code)
    assert "cannot write s3://models/a: the store said" in str(failure.value)
    assert failure.value.__cause__ is not None


@pytest.mark.parametrize(
    ("err", "ours"),
    [
        (boto.EndpointConnectionError(endpoint_url="u"), Transient),
        (boto.ConnectTimeoutError(endpoint_url="u"), Transient),
        (boto.ReadTimeoutError(endpoint_url="u"), Transient),
        (boto.ConnectionClosedError(endpoint_url="u"), Transient),
        (boto.ProxyConnectionError(proxy_url="u"), Transient),
        (boto.ResponseStreamingError(error="e"), Transient),
        (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), Transient),
        (boto.FlexibleChecksumError(error_msg="e"), Transient),
        (boto.CredentialRetrievalError(provider="p", error_msg="e"), Transient),
        (boto.NoCredentialsError(), Missing),
        (boto.PartialCredentialsError(provider="p", cred_var="v"), Missing),
        (boto.SSLError(endpoint_url="u", error="e"), Missing),
    ],
)
def test_no_answer_is_translated_by_type(err, ours):
    with pytest.raises(ours), translated("read", "s3://models/a"):
        raise err


@pytest.mark.parametrize("bug", [client_error(418, "Teapot"), boto.ParamValidationError(report="r"), KeyError("k")])
def test_what_is_not_foreseen_stays_what_it_was(bug):
    with pytest.raises(type(bug)) as failure, translated("write", "s3://models/a"):
        raise bug
    assert failure.value is bug
