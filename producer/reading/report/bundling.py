"""Makes the files of the folder `vega` anew, from `charts` and vl-convert: `make charts`.

They are shipped, because making them takes longer than the rest of a report. A test compares them with what is made
from the pinned versions. If the libraries in the bundle change, LICENSES.txt must follow.
"""

from pathlib import Path

import msgspec
import vl_convert

from producer.reading.report.charts import specs

FOLDER = Path(__file__).parent / "vega"


def bundle() -> str:
    """Vega-Embed with everything that it needs, as JavaScript that defines `vegaEmbed`. Takes some seconds."""
    names = f"Vega {vl_convert.get_vega_version()}, Vega-Lite, Vega-Embed {vl_convert.get_vega_embed_version()}"
    licences = "BSD-3-Clause; D3, Copyright Mike Bostock, ISC; https://github.com/vega, https://github.com/d3"
    head = f"/*! {names}: Copyright University of Washington Interactive Data Lab, {licences} */\n"
    return head + vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;") + "\n"


def specifications() -> str:
    """The specifications of the charts as JSON."""
    return msgspec.json.format(msgspec.json.encode(specs()), indent=1).decode() + "\n"


if __name__ == "__main__":
    (FOLDER / "vega.js").write_text(bundle(), encoding="utf-8")
    (FOLDER / "specs.json").write_text(specifications(), encoding="utf-8")
