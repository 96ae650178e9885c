// Delta debugging over a list: the smallest sublist found that still satisfies `good`, by leaving out ever finer
// chunks. One-minimal when it is not stopped: no single element can go.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

namespace ordeal::sim {

// `good(all)` holds already and is not asked. `stop` ends it early with what is found so far.
template <class T>
std::vector<T> ddmin(std::vector<T> all, const std::function<bool(const std::vector<T>&)>& good,
                     const std::function<bool()>& stop) {
  std::size_t chunks = 2;
  while (!all.empty()) {
    const std::size_t size = std::max<std::size_t>(1, (all.size() + chunks - 1) / chunks);
    bool removed = false;
    for (std::size_t end = all.size(); end > 0 && !removed;) {  // the latest first: what came after the failure
      if (stop()) return all;
      const std::size_t begin = end > size ? end - size : 0;
      std::vector<T> rest(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(begin));
      rest.insert(rest.end(), all.begin() + static_cast<std::ptrdiff_t>(end), all.end());
      if (good(rest)) {
        all = std::move(rest);
        removed = true;
      }
      end = begin;
    }
    if (removed) {
      chunks = std::max<std::size_t>(2, chunks - 1);
      continue;
    }
    if (size == 1) break;
    chunks = std::min(all.size(), chunks * 2);
  }
  return all;
}

}  // namespace ordeal::sim
