"""The Hugging Face hub, asked first whether it is there: its own client retries for 23 s before it gives up."""

from __future__ import annotations

import os
import urllib.error
import urllib.request

PROBE_SECONDS = 5.0


def hub_answers() -> bool:
    """Whether the hub (HF_ENDPOINT, through HTTPS_PROXY if set) answers, and HF_HUB_OFFLINE does not forbid it.

    Where it does not, HF_HUB_OFFLINE is set, so that the hub's libraries, imported later, look in their caches only.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return False
    try:
        address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        request = urllib.request.Request(address, method="HEAD")
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        os.environ["HF_HUB_OFFLINE"] = "1"
        return False
    return True
