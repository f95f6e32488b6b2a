"""The stand-in's process, started by path. It ends with the process that started it, like the cloud's: see `tether`."""

import sys
import threading
from pathlib import Path

from daybook.local.provider.server.service import Service
from daybook.local.tether import end_with_starter


def main(folder: Path, port: int) -> None:
    """Serve on the port, a free one for 0; the file `port` in the folder says on which, once requests are taken."""
    threading.Thread(target=end_with_starter, args=(str(folder),), daemon=True).start()
    try:
        service = Service(port)
    except (OSError, OverflowError) as error:
        sys.exit(f"It cannot listen on port {port}: {error}")
    draft = folder / "port.draft"
    draft.write_text(str(service.server_port))
    draft.rename(folder / "port")
    service.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
