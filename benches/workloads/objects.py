"""Many small objects of several kinds: python3 objects.py AMOUNT. Run it with PYTHONMALLOC=malloc as well:
Python's own pools otherwise take most requests of up to 512 bytes."""

import json
import sys


class Node:
    def __init__(self, key, children):
        self.key = key
        self.children = children
        self.label = f"node {key}"


def tree(depth, key=1):
    if depth == 0:
        return Node(key, [])
    return Node(key, [tree(depth - 1, key * 3 + branch) for branch in range(3)])


def count(node):
    return 1 + sum(count(child) for child in node.children)


def words(amount):
    table = {}
    for number in range(amount):
        table.setdefault(str(number * 7919 % 5003), []).append((number, str(number)))
    return sum(len(rows) for rows in table.values())


def main(amount):
    total = 0
    for _ in range(amount):
        total += count(tree(8))
        total += words(50_000)
        records = [{"id": number, "name": "x" * (number % 50), "tags": [number, str(number)]} for number in range(10_000)]
        total += len(json.loads(json.dumps(records)))
        total += len("".join(chr(97 + number % 26) * (number % 100) for number in range(20_000)).split("a"))
    return total


print(main(int(sys.argv[1])))
