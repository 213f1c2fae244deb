#!/bin/bash
# Many template instances in one unit; the program itself lives in containers and throws.
set -eu
awk 'BEGIN {
    print "#include <algorithm>\n#include <iostream>\n#include <list>\n#include <map>\n#include <memory>\n#include <regex>\n#include <set>\n#include <sstream>\n#include <stdexcept>\n#include <string>\n#include <thread>\n#include <unordered_map>\n#include <vector>"
    print "template <int N> struct Node : Node<N - 1> { std::string name = std::to_string(N); };"
    print "template <> struct Node<0> { virtual ~Node() = default; };"
    for (i = 0; i < 16; i++) {
        printf "struct Key%d { int k; bool operator<(const Key%d &o) const { return k < o.k; } };\n", i, i
        printf "static unsigned long use%d(unsigned n) {\n", i
        printf "  std::map<Key%d, std::vector<std::string>> m; std::unordered_map<std::string, std::list<int>> u;\n", i
        printf "  for (unsigned i = 0; i < n; i++) { m[Key%d{int(i * %d %% 101)}].push_back(std::string(i %% 70, char(97 + i %% 26))); u[std::to_string(i %% 37)].push_back(int(i)); }\n", i, i + 3
        print "  unsigned long sum = 0; for (auto &[k, v] : m) for (auto &s : v) sum = sum * 31 + s.size() + unsigned(k.k);"
        print "  std::vector<std::pair<std::string, std::size_t>> sorted; for (auto &[s, l] : u) sorted.emplace_back(s, l.size());"
        print "  std::sort(sorted.begin(), sorted.end()); for (auto &[s, c] : sorted) sum = sum * 7 + c + s.size();"
        printf "  std::unique_ptr<Node<0>> node = std::make_unique<Node<%d>>();\n", i + 2
        print "  try { if (node) throw std::runtime_error(std::string(200, (char)120)); } catch (const std::exception &e) { sum += std::string(e.what()).size(); }"
        print "  return sum;\n}"
    }
    print "int main() {\n  unsigned long sum[2] = {0, 0};\n  auto work = [&sum](int t) {"
    for (i = 0; i < 16; i++) printf "    sum[t] = sum[t] * 17 + use%d(%d);\n", i, 1000 + i
    print "  };\n  std::thread a(work, 0), b(work, 1); a.join(); b.join();"
    print "  std::ostringstream out; out << sum[0] << (char)32 << sum[1];"
    print "  std::cout << out.str() << (char)32 << std::regex_replace(out.str(), std::regex(\"[0-4]+\"), \"_\") << std::endl;\n}"
}' >large.cc
g++ -std=c++17 -O1 -g -c large.cc -o large.o
sha256sum large.o
g++ large.o -pthread -o program
./program
