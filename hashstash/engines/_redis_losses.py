"""Whether a Redis server keeps what it is given: as it is set up, and as it fares."""

from __future__ import annotations

from typing import Any

from redis.exceptions import RedisError


def losses(client: Any) -> list[str]:
    """What makes the server of *client* lose rows."""
    found = _first_node_info(client)
    policy = str(found.get("maxmemory_policy", "noeviction"))
    problems = []
    if policy != "noeviction":
        problems.append(
            f"its maxmemory-policy is {policy}: when its memory is full it removes entries without a word;"
            " set it to noeviction"
        )
    if not found.get("aof_enabled") and not found.get("rdb_saves_by_itself", 1):
        problems.append("it writes nothing to a disk: a restart loses everything; set 'appendonly yes', or 'save'")
    if found.get("rdb_last_bgsave_status", "ok") != "ok" or found.get("aof_last_write_status", "ok") != "ok":
        problems.append("its last attempt to write to its disk failed; look into its log")
    return problems


def _first_node_info(client: Any) -> dict[str, Any]:
    info = client.info()
    if info and all(isinstance(value, dict) for value in info.values()):
        info = next(iter(info.values()))
    try:
        saves = _first_config(client.config_get("save"))
    except RedisError:
        return dict(info)  # not every user may ask; managed servers allow it to nobody
    return {**info, "rdb_saves_by_itself": bool(saves)}


def _first_config(found: Any) -> str:
    value = found.get("save")
    if value is None:
        value = next((inner["save"] for inner in found.values() if isinstance(inner, dict)), "")
    return str(value)
