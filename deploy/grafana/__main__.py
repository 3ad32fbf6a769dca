"""Write the dashboards' JSON: `python -m deploy.grafana`."""

from deploy.grafana.boards import BOARDS, FOLDER, as_json

if __name__ == "__main__":
    for name, make in BOARDS.items():
        (FOLDER / f"{name}.json").write_text(as_json(make()))
