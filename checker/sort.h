// A stable sort that builds without warnings: libstdc++ 12's std::stable_sort uses a buffer that C++17 deprecated.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>
#include <vector>

namespace ordeal::checker {

// `key` may be a member pointer or a function; equal keys keep their order.
template <class T, class Key>
void sort_stably(std::vector<T>& items, Key key) {
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    const auto& first = std::invoke(key, items[a]);
    const auto& second = std::invoke(key, items[b]);
    if (first < second) return true;
    if (second < first) return false;
    return a < b;
  });
  std::vector<T> sorted;
  sorted.reserve(items.size());
  for (const std::size_t at : order) sorted.push_back(std::move(items[at]));
  items = std::move(sorted);
}

}  // namespace ordeal::checker
