"""Graphs of networkx, whose views and caches lie in their instances."""

from skips import needs

needs("networkx")

DEFINITIONS = """
import networkx as nx


class Town:
    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        return self.name == other.name


graph = nx.karate_club_graph()
graph.graph["tags"] = ["a", (1, 2)]
graph.adj, graph.nodes, graph.edges, graph.degree
directed = nx.DiGraph([(1, 2, {"w": 0.5}), (2, 3, {"w": [1]}), (3, 1, {})], name="d")
directed.succ, directed.pred
multi = nx.MultiDiGraph()
multi.add_edge("a", "b", key="k", color="red")
multi.add_edge("a", "b", w=2)
towns = nx.Graph()
towns.add_edge(Town("one"), Town("two"), road=Town("road"))
for town in list(towns):
    town.map = towns
"""
EDGES = "sorted(map(repr, v.edges(data=True)))"
CASES = {
    "Graph": (
        "graph",
        f"[{EDGES}, v.graph, dict(v.degree)]",
        True,
        "__import__('networkx').shortest_path(v, 0, 33)[-1] == 33 and v.nodes[0]['club'] == 'Mr. Hi' and v.adj is v.adj",
    ),
    "DiGraph": (
        "directed",
        f"[{EDGES}, list(v.predecessors(1)), v.name]",
        True,
        "v.succ[1][2] is v.pred[2][1] and (v.add_edge(1, 9), list(v.predecessors(9)))[1] == [1]",
    ),
    "MultiDiGraph": (
        "multi",
        "sorted(map(repr, v.edges(keys=True, data=True)))",
        True,
        "v['a']['b']['k']['color'] == 'red'",
    ),
    "nodes of a notebook": (
        "towns",
        "sorted(node.name for node in v)",
        True,
        "all(node.map is v and node in v for node in v) and len(list(v.edges)) == 1",
    ),
    "both directions share": ("graph", "sorted(v[0])", True, "(v[0][1].update(x=5), v[1][0]['x'])[1] == 5"),
    "subgraph view": ("graph.subgraph([0, 1, 2]).copy()", "sorted(v)"),
    "line graph": ("nx.line_graph(directed)", "sorted(v)"),
    "node view": ("graph.nodes", "sorted(v)", True, "v[0]['club'] == 'Mr. Hi'"),
}


def test_comes_back(zoo, case):
    assert zoo[case] == []
