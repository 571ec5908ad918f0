"""Requests in the RPC style of the older SDKs: everything in parameters, signed with HMAC-SHA1.

Protocol: https://www.alibabacloud.com/help/en/sdk/product-overview/rpc-mechanism
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_ims.emulator.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

_METHOD = "HMAC-SHA1"
_VERSION = "1.0"
_REQUIRED = ("AccessKeyId", "Signature", "SignatureMethod", "SignatureNonce", "SignatureVersion", "Timestamp")


@dataclass(frozen=True, slots=True)
class RpcRequest:
    """The parts of a request that its signature covers.

    :param parameters: those of the query string and those of the form body.
    """

    method: str
    parameters: Mapping[str, str]

    def string_to_sign(self) -> str:
        """Return the text that the signature covers: all parameters but the signature itself."""
        pairs = sorted((name, value) for name, value in self.parameters.items() if name != "Signature")
        query = "&".join(f"{_encode(name)}={_encode(value)}" for name, value in pairs)
        return f"{self.method}&{_encode('/')}&{_encode(query)}"

    def check_complete(self) -> None:
        """Check that the parameters of the signature are there.

        :raises ApiError: if one is missing, or names another method.
        """
        for name in _REQUIRED:
            if not self.parameters.get(name):
                raise ApiError(400, f"Missing{name}", f"{name} is mandatory for this action.")
        if (self.parameters["SignatureMethod"], self.parameters["SignatureVersion"]) != (_METHOD, _VERSION):
            raise ApiError(
                400,
                "IncompleteSignature",
                "The request signature does not conform to standards. "
                f"SignatureMethod must be {_METHOD}, and SignatureVersion {_VERSION}.",
            )

    def check_signature(self, secret: str) -> None:
        """Check the signature.

        :raises ApiError: if it is another one.
        """
        string_to_sign = self.string_to_sign()
        digest = hmac.new(f"{secret}&".encode(), string_to_sign.encode(), hashlib.sha1).digest()
        signature = self.parameters["Signature"]
        if not hmac.compare_digest(base64.b64encode(digest), signature.encode()):
            # The gateway shows the signed text, security token included: clients must redact the message.
            raise ApiError(
                400,
                "SignatureDoesNotMatch",
                f"Specified signature is not matched with our calculation. server string to sign is:{string_to_sign}",
            )


def _encode(text: str) -> str:
    return quote(text, safe="~")
