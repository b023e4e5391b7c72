"""The Hugging Face hub, asked first whether it is there: its own client retries for 23 s before it gives up."""

from __future__ import annotations

import os
import urllib.error
import urllib.request

PROBE_SECONDS = 5.0


def offline_without_hub() -> bool:
    """Set HF_HUB_OFFLINE for this process unless the hub (HF_ENDPOINT, through HTTPS_PROXY if set) answers.

    Then the hub's libraries, imported later, look in their caches only. Returns whether it is set now.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return True
    try:
        address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        request = urllib.request.Request(address, method="HEAD")
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return False
    except (OSError, ValueError):
        os.environ["HF_HUB_OFFLINE"] = "1"
        return True
    return False
