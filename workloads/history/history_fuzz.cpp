// Any bytes must end in a view or an error, never in a crash; what reads well must export.
#include <cstring>
#include <memory>
#include <sstream>

#include "workloads/history/export.h"
#include "workloads/history/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto copy = std::make_unique<std::uint64_t[]>(size / 8 + 1);  // aligned, and exactly as long for the sanitizer
  std::memcpy(copy.get(), data, size);
  const auto file = ordeal::history::read_bytes("fuzz", {reinterpret_cast<const std::uint8_t*>(copy.get()), size});
  if (!file) return 0;
  const auto history = ordeal::history::join({*file});
  if (!history) return 0;
  std::ostringstream out;
  static_cast<void>(ordeal::history::export_jsonl(*history, out));
  return 0;
}
