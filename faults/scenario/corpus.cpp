// The scenarios that come with the program.
#include <algorithm>
#include <array>
#include <utility>

#include "faults/scenario/scenario.h"

namespace ordeal::scenario {
namespace {

const std::vector<std::pair<std::string_view, std::string_view>>& files() {
  static const std::vector<std::pair<std::string_view, std::string_view>> table{
#include "faults/scenario/corpus.inc"
  };
  return table;
}

}  // namespace

std::vector<std::string> corpus_names() {
  std::vector<std::string> names;
  for (const auto& [name, text] : files()) names.emplace_back(name);
  std::ranges::sort(names);
  return names;
}

std::optional<std::string_view> corpus_text(std::string_view name) {
  for (const auto& [known, text] : files())
    if (known == name) return text;
  return std::nullopt;
}

}  // namespace ordeal::scenario
