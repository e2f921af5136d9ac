"""ToolAlpaca's gold actions held against the schemas they come with.

    TILTH_DATA=DIR python benchmarks/verify/tools.py [--show]

Known truth: of 154 actions 32 have arguments that are no JSON and 9 name a function that is not there.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
from collections import Counter
from pathlib import Path

from tilth.verify.tools import Call, check_call, openapi


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", action="store_true", help="print each faulty action")
    show = parser.parse_args().show
    found: Counter[str] = Counter()
    with gzip.open(Path(os.environ["TILTH_DATA"]) / "toolalpaca" / "eval_simulated.json.gz", "rt") as file:
        apis = json.load(file)
    for api in apis:
        known = openapi(json.loads(api["Documentation"]))
        tools = {name: known.get(name, {"type": "object"}) for name in api["Function_Projection"]}
        for action in (a for answer in api["Golden_Answers"] for a in answer):
            call = Call(action["Action"], action["Action_Input"])
            wrong, why = check_call(call, tools)
            json_fault = check_call(Call("f", call.arguments), {"f": {"type": "object"}})[0] == "invalid-json"
            found["actions"] += 1
            found["arguments that are no JSON"] += json_fault
            found["unknown function"] += wrong == "unknown-function"
            found["known function and JSON, but not as the schema asks"] += wrong == "arguments"
            found["faultless"] += not wrong
            if show and wrong:
                print(f"{wrong:17} {api['Name']}.{call.name}: {str(why[0])[:100]}")
    print("\n".join(f"{name:52} {n:4}" for name, n in found.items()))


if __name__ == "__main__":
    main()
