"""etcd's errors: the exact codes and texts its clients match on.

The table has every error that the API of etcd 3.5 defines, in use here yet or not, so that each text stands
in one place. Entries are plain values, which the state machine returns as results; handlers raise
`exception()`.
"""

from typing import Final

import msgspec

from oarlock.etcd.grpc.status import RpcError, Status


class ApiError(msgspec.Struct, frozen=True):
    """A gRPC status as a value: unlike an exception it can be shared, since raising changes an exception."""

    code: Status
    message: str

    def exception(self) -> RpcError:
        """A new exception to raise."""
        return RpcError(self.code, self.message)


def _etcd(code: Status, text: str) -> ApiError:
    return ApiError(code, f"etcdserver: {text}")


def unknown(text: str) -> ApiError:
    """An error that etcd has no code for, and passes on as UNKNOWN."""
    return ApiError(Status.UNKNOWN, text)


def unimplemented(what: str) -> ApiError:
    """Something of etcd's API that this version does not have."""
    return ApiError(Status.UNIMPLEMENTED, f"oarlock: {what} is not implemented yet")


# Requests
EMPTY_KEY: Final = _etcd(Status.INVALID_ARGUMENT, "key is not provided")
KEY_NOT_FOUND: Final = _etcd(Status.INVALID_ARGUMENT, "key not found")
VALUE_PROVIDED: Final = _etcd(Status.INVALID_ARGUMENT, "value is provided")
LEASE_PROVIDED: Final = _etcd(Status.INVALID_ARGUMENT, "lease is provided")
TOO_MANY_OPERATIONS: Final = _etcd(Status.INVALID_ARGUMENT, "too many operations in txn request")
DUPLICATE_KEY: Final = _etcd(Status.INVALID_ARGUMENT, "duplicate key given in txn request")
REQUEST_TOO_LARGE: Final = _etcd(Status.INVALID_ARGUMENT, "request is too large")
TOO_MANY_REQUESTS: Final = _etcd(Status.RESOURCE_EXHAUSTED, "too many requests")

# The store
COMPACTED: Final = _etcd(Status.OUT_OF_RANGE, "mvcc: required revision has been compacted")
FUTURE_REVISION: Final = _etcd(Status.OUT_OF_RANGE, "mvcc: required revision is a future revision")
NO_SPACE: Final = _etcd(Status.RESOURCE_EXHAUSTED, "mvcc: database space exceeded")
CORRUPT: Final = _etcd(Status.DATA_LOSS, "corrupt cluster")

# Leases
LEASE_NOT_FOUND: Final = _etcd(Status.NOT_FOUND, "requested lease not found")
LEASE_EXISTS: Final = _etcd(Status.FAILED_PRECONDITION, "lease already exists")
LEASE_TTL_TOO_LARGE: Final = _etcd(Status.OUT_OF_RANGE, "too large lease TTL")

# Watches
WATCH_CANCELED: Final = _etcd(Status.CANCELLED, "watch canceled")

# Members
MEMBER_EXISTS: Final = _etcd(Status.FAILED_PRECONDITION, "member ID already exist")
PEER_URL_EXISTS: Final = _etcd(Status.FAILED_PRECONDITION, "Peer URLs already exists")
MEMBER_NOT_ENOUGH_STARTED: Final = _etcd(  # etcd's table has the client's error here, so the code is lost
    Status.UNKNOWN, "re-configuration failed due to not enough started members"
)
MEMBER_BAD_URLS: Final = _etcd(Status.INVALID_ARGUMENT, "given member URLs are invalid")
MEMBER_NOT_FOUND: Final = _etcd(Status.NOT_FOUND, "member not found")
MEMBER_NOT_LEARNER: Final = _etcd(Status.FAILED_PRECONDITION, "can only promote a learner member")
LEARNER_NOT_READY: Final = _etcd(
    Status.FAILED_PRECONDITION, "can only promote a learner member which is in sync with leader"
)
TOO_MANY_LEARNERS: Final = _etcd(Status.FAILED_PRECONDITION, "too many learner members in cluster")
NOT_SUPPORTED_FOR_LEARNER: Final = _etcd(Status.UNAVAILABLE, "rpc not supported for learner")
CLUSTER_ID_MISMATCH: Final = _etcd(Status.FAILED_PRECONDITION, "cluster ID mismatch")

# Auth
ROOT_USER_NOT_EXIST: Final = _etcd(Status.FAILED_PRECONDITION, "root user does not exist")
ROOT_ROLE_NOT_EXIST: Final = _etcd(Status.FAILED_PRECONDITION, "root user does not have root role")
USER_EXISTS: Final = _etcd(Status.FAILED_PRECONDITION, "user name already exists")
USER_EMPTY: Final = _etcd(Status.INVALID_ARGUMENT, "user name is empty")
USER_NOT_FOUND: Final = _etcd(Status.FAILED_PRECONDITION, "user name not found")
ROLE_EXISTS: Final = _etcd(Status.FAILED_PRECONDITION, "role name already exists")
ROLE_NOT_FOUND: Final = _etcd(Status.FAILED_PRECONDITION, "role name not found")
ROLE_EMPTY: Final = _etcd(Status.INVALID_ARGUMENT, "role name is empty")
AUTH_FAILED: Final = _etcd(Status.INVALID_ARGUMENT, "authentication failed, invalid user ID or password")
PERMISSION_NOT_GIVEN: Final = _etcd(Status.INVALID_ARGUMENT, "permission not given")
PERMISSION_DENIED: Final = _etcd(Status.PERMISSION_DENIED, "permission denied")
ROLE_NOT_GRANTED: Final = _etcd(Status.FAILED_PRECONDITION, "role is not granted to the user")
PERMISSION_NOT_GRANTED: Final = _etcd(Status.FAILED_PRECONDITION, "permission is not granted to the role")
AUTH_NOT_ENABLED: Final = _etcd(Status.FAILED_PRECONDITION, "authentication is not enabled")
INVALID_AUTH_TOKEN: Final = _etcd(Status.UNAUTHENTICATED, "invalid auth token")
INVALID_AUTH_MANAGEMENT: Final = _etcd(Status.INVALID_ARGUMENT, "invalid auth management")
AUTH_OLD_REVISION: Final = _etcd(Status.INVALID_ARGUMENT, "revision of auth store is old")

# The cluster's state
NO_LEADER: Final = _etcd(Status.UNAVAILABLE, "no leader")
NOT_LEADER: Final = _etcd(Status.FAILED_PRECONDITION, "not leader")
LEADER_CHANGED: Final = _etcd(Status.UNAVAILABLE, "leader changed")
NOT_CAPABLE: Final = _etcd(Status.UNAVAILABLE, "not capable")
STOPPED: Final = _etcd(Status.UNAVAILABLE, "server stopped")
TIMEOUT: Final = _etcd(Status.UNAVAILABLE, "request timed out")
TIMEOUT_LEADER_FAILURE: Final = _etcd(Status.UNAVAILABLE, "request timed out, possibly due to previous leader failure")
TIMEOUT_CONNECTION_LOST: Final = _etcd(Status.UNAVAILABLE, "request timed out, possibly due to connection lost")
TIMEOUT_WAITING_APPLIED: Final = _etcd(
    Status.UNAVAILABLE, "request timed out, waiting for the applied index took too long"
)
UNHEALTHY: Final = _etcd(Status.UNAVAILABLE, "unhealthy cluster")
TIMEOUT_LEADER_TRANSFER: Final = _etcd(  # not in etcd's table
    Status.UNKNOWN, "request timed out, leader transfer took too long"
)
BAD_LEADER_TRANSFEREE: Final = _etcd(Status.FAILED_PRECONDITION, "bad leader transferee")

# Downgrades
CLUSTER_VERSION_UNAVAILABLE: Final = _etcd(Status.UNAVAILABLE, "cluster version not found during downgrade")
WRONG_DOWNGRADE_VERSION_FORMAT: Final = _etcd(Status.INVALID_ARGUMENT, "wrong downgrade target version format")
INVALID_DOWNGRADE_TARGET: Final = _etcd(Status.INVALID_ARGUMENT, "invalid downgrade target version")
DOWNGRADE_IN_PROCESS: Final = _etcd(Status.FAILED_PRECONDITION, "cluster has a downgrade job in progress")
NO_DOWNGRADE: Final = _etcd(Status.FAILED_PRECONDITION, "no inflight downgrade job")
