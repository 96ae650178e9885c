#include "faults/sim/sim_inode.h"

#include <algorithm>
#include <utility>

namespace ordeal::sim {
namespace {

void apply_to(Bytes& content, const Inode::Change& change) {
  if (change.truncates) {
    content.resize(change.offset);
    return;
  }
  const std::uint64_t end = change.offset + change.bytes.size();
  if (content.size() < end) content.resize(end);
  std::copy(change.bytes.begin(), change.bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(change.offset));
}

void apply_to(Inode::Names& names, const Inode::NameChange& change) {
  if (!change.from.empty()) names.erase(change.from);
  if (!change.to.empty()) names[change.to] = change.inode;
}

// How a crash treats unsynced changes: often all or none, sometimes each on its own, so that both the common and the
// contrived outcomes are met.
enum class Mood { none, all, some };
Mood draw_mood(Random& random) {
  const std::uint64_t draw = random.below(8);
  if (draw < 3) return Mood::none;
  return draw < 5 ? Mood::all : Mood::some;
}

void crash_file(Inode& file, Random& random) {
  const Mood mood = draw_mood(random);
  for (Inode::Change& change : file.unsynced) {
    if (mood == Mood::none) break;
    if (mood == Mood::some) {
      const std::uint64_t fate = random.below(4);
      if (fate == 0) continue;
      if (fate == 1 && !change.truncates) change.bytes.resize(random.below(change.bytes.size() + 1));
      if (!change.truncates && change.bytes.empty()) continue;
    }
    apply_to(file.durable, change);
  }
  file.unsynced.clear();
  file.cached = file.durable;
}

}  // namespace

void Inode::apply(Change change) {
  apply_to(cached, change);
  unsynced.push_back(std::move(change));
}

void Inode::apply(NameChange change) {
  apply_to(names, change);
  unsynced_names.push_back(std::move(change));
}

void Inode::sync() {
  for (const Change& change : std::exchange(unsynced, {})) apply_to(durable, change);
  for (const NameChange& change : std::exchange(unsynced_names, {})) apply_to(durable_names, change);
}

void Inode::forget_unsynced() { unsynced.clear(); }

void Inode::power_cut(Random& random) {
  if (!is_directory) {
    crash_file(*this, random);
    return;
  }
  const Mood mood = draw_mood(random);
  std::size_t kept = mood == Mood::all ? unsynced_names.size() : 0;
  if (mood == Mood::some) kept = random.below(unsynced_names.size() + 1);
  for (std::size_t i = 0; i < kept; ++i) apply_to(durable_names, unsynced_names[i]);
  unsynced_names.clear();
  names = durable_names;
  for (auto& [name, inode] : names) {
    Random own = random.fork(name);  // one file more does not change what is left of the others
    inode->power_cut(own);
  }
}

}  // namespace ordeal::sim
