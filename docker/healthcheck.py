"""Exit with status 0 if the web process of this container is healthy. Uses only the standard library."""

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 5


def main() -> None:
    # Django answers only to the names in ALLOWED_HOSTS. Any of them will do.
    host = os.environ["ALLOWED_HOSTS"].split(",")[0].strip().lstrip(".")
    address = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}/api/health"
    try:
        urllib.request.urlopen(urllib.request.Request(address, headers={"Host": host}), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as exc:
        sys.exit(f"{address} answered {exc.code}: {exc.read(500).decode(errors='replace')}")
    except OSError as exc:
        sys.exit(f"{address} did not answer: {exc}")


if __name__ == "__main__":
    main()
