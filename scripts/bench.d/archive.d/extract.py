"""Pages per second that pypdf reads of the PDFs below some folders, in one process."""

import logging
import pathlib
import sys
import time

import pypdf

logging.disable(logging.CRITICAL)
pages, seconds = 0, 0.0
for folder in sys.argv[1:]:
    for path in sorted(pathlib.Path(folder).rglob("*.pdf")):
        begun = time.perf_counter()
        try:
            read = [page.extract_text() for page in pypdf.PdfReader(path).pages]
        except Exception:  # what it cannot read is left out of its measure
            continue
        seconds += time.perf_counter() - begun
        pages += len(read)
print(f"pypdf {pypdf.__version__}, {pages} pages, one process for all")
print(f"figure pypdf_pages_per_second {pages / seconds:.1f}")
