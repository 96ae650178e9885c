// Raft's state and the image as KV rows.
#include "broker/meta/raft_storage.h"

#include <fmt/format.h>

#include "broker/base/bytes.h"
#include "broker/base/check.h"

namespace ordeal::meta {
namespace {

constexpr std::string_view kHardState = "rh";
constexpr std::string_view kBase = "rb";
constexpr std::string_view kApplied = "ra";
constexpr std::string_view kLog = "rl";
constexpr std::string_view kLogEnd = "rm";
constexpr std::size_t kEntryHeader = 12;
constexpr std::size_t kHardStateSize = 13;
constexpr std::size_t kBaseHeader = 24;

template <class Int>
void append_be(std::string& bytes, Int number) {
  bytes.resize(bytes.size() + sizeof number);
  store_be(reinterpret_cast<std::uint8_t*>(bytes.data() + bytes.size() - sizeof number), number);
}

template <class Int>
Int read_be(std::string_view bytes, std::size_t at) {
  return load_be<Int>(as_bytes(bytes).data() + at);
}

std::string log_key(raft::Index index) {
  std::string key(kLog);
  append_be(key, index);
  return key;
}

std::string pair_value(std::int64_t first, std::int64_t second) {
  std::string value;
  append_be(value, first);
  append_be(value, second);
  return value;
}

std::string entry_value(const raft::Entry& entry) {
  std::string value;
  append_be(value, entry.term);
  append_be(value, static_cast<std::int32_t>(entry.kind));
  return value + entry.data;
}

std::string base_value(const raft::LogBase& base) {
  std::string value;
  append_be(value, base.index);
  append_be(value, base.term);
  append_be(value, base.hash);
  return value + raft::encode_voters(base.voters);
}

std::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::corrupt, fmt::format("metadata store: {}", what));
}

Status load_log(const kv::KvReader& store, raft::Restored& restored) {
  Status status;
  const Status scanned = store.scan(kLog, kLogEnd, [&](std::string_view key, std::string_view value) {
    raft::Entry entry;
    if (key.size() == kLog.size() + 8 && value.size() >= kEntryHeader) {
      entry.index = read_be<std::int64_t>(key, kLog.size());
      entry.term = read_be<std::int64_t>(value, 0);
      entry.kind = static_cast<raft::EntryKind>(read_be<std::int32_t>(value, 8));
      entry.data = value.substr(kEntryHeader);
    }
    if (entry.kind == raft::EntryKind::voters && !raft::decode_voters(entry.data)) {
      status = damaged(fmt::format("log entry {} names no voters", entry.index));
      return false;
    }
    const auto expected = restored.base.index + static_cast<raft::Index>(restored.entries.size()) + 1;
    if (entry.index != expected) {
      status = damaged(fmt::format("log entry {} where {} should be", entry.index, expected));
      return false;
    }
    restored.entries.push_back(std::move(entry));
    return true;
  });
  ORDEAL_TRY(scanned);
  return status;
}

Result<raft::LogBase> load_base(std::string_view value) {
  if (value.size() < kBaseHeader) return damaged("row rb is damaged");
  raft::LogBase base;
  base.index = read_be<std::int64_t>(value, 0);
  base.term = read_be<std::int64_t>(value, 8);
  base.hash = read_be<std::uint64_t>(value, 16);
  std::optional<raft::VoterSet> voters = raft::decode_voters(value.substr(kBaseHeader));
  if (value.size() > kBaseHeader && !voters) return damaged("row rb names no voters");
  if (voters) base.voters = std::move(*voters);
  return base;
}

}  // namespace

Result<StoredState> load_state(const kv::KvReader& store) {
  StoredState state;
  const auto read = [&](std::string_view key, std::size_t size) -> Result<std::optional<std::string>> {
    auto value = store.get(key);
    if (value && *value && (*value)->size() != size) return damaged(fmt::format("row {} is damaged", key));
    return value;
  };
  const auto hard_state = read(kHardState, kHardStateSize);
  ORDEAL_TRY(hard_state);
  state.raft.hard_state.blank = true;
  if (*hard_state)
    state.raft.hard_state = {read_be<std::int64_t>(**hard_state, 0), read_be<std::int32_t>(**hard_state, 8),
                             read_be<std::uint8_t>(**hard_state, 12) != 0};
  const auto base = store.get(kBase);
  ORDEAL_TRY(base);
  if (*base) {
    Result<raft::LogBase> loaded = load_base(**base);
    ORDEAL_TRY(loaded);
    state.raft.base = std::move(*loaded);
  }
  ORDEAL_TRY(load_log(store, state.raft));

  const auto applied = read(kApplied, 16);
  ORDEAL_TRY(applied);
  std::uint64_t digest = 0;
  if (*applied) {
    state.raft.applied = read_be<std::int64_t>(**applied, 0);
    digest = read_be<std::uint64_t>(**applied, 8);
  }
  const auto last = state.raft.base.index + static_cast<raft::Index>(state.raft.entries.size());
  if (state.raft.applied < state.raft.base.index || state.raft.applied > last)
    return damaged(fmt::format("applied {} outside the log [{}, {}]", state.raft.applied, state.raft.base.index, last));

  Rows rows;
  ORDEAL_TRY(store.scan(kImagePrefix, kImageEnd, [&](std::string_view key, std::string_view value) {
    rows.emplace(key, value);
    return true;
  }));
  auto image = ImageBuilder::load(rows, state.raft.applied);
  ORDEAL_TRY(image);
  if ((*image)->digest() != digest) return damaged("the image's digest differs from the stored one");
  state.image = std::move(*image);
  return state;
}

kv::WriteBatch persist_batch(const raft::Effects& effects, const ImagePtr& installed) {
  kv::WriteBatch batch;
  if (effects.install) {
    ORDEAL_CHECK(installed != nullptr && installed->offset() == effects.install->base.index);
    batch.remove_range(std::string(kLog), std::string(kLogEnd));
    batch.remove_range(std::string(kImagePrefix), std::string(kImageEnd));
    for (auto& [key, value] : ImageBuilder::to_rows(*installed)) batch.put(key, value);
    batch.put(std::string(kApplied), pair_value(installed->offset(), static_cast<std::int64_t>(installed->digest())));
    batch.put(std::string(kBase), base_value(effects.install->base));
  }
  if (effects.hard_state) {
    std::string value;
    append_be(value, effects.hard_state->term);
    append_be(value, effects.hard_state->vote);
    append_be(value, static_cast<std::uint8_t>(effects.hard_state->blank));
    batch.put(std::string(kHardState), std::move(value));
  }
  if (effects.truncate_from) batch.remove_range(log_key(*effects.truncate_from), std::string(kLogEnd));
  for (const raft::Entry& entry : effects.append) batch.put(log_key(entry.index), entry_value(entry));
  return batch;
}

kv::WriteBatch apply_batch(const RowChanges& changes, const ClusterImage& image) {
  kv::WriteBatch batch;
  for (const auto& [key, value] : changes) {
    if (value) {
      batch.put(key, *value);
    } else {
      batch.remove(key);
    }
  }
  batch.put(std::string(kApplied), pair_value(image.offset(), static_cast<std::int64_t>(image.digest())));
  return batch;
}

kv::WriteBatch compact_batch(const raft::LogBase& base) {
  kv::WriteBatch batch;
  batch.remove_range(std::string(kLog), log_key(base.index + 1));
  batch.put(std::string(kBase), base_value(base));
  return batch;
}

raft::Snapshot encode_snapshot(const ClusterImage& image, raft::LogBase base) {
  SnapshotData data;
  data.set_index(base.index);
  data.set_term(base.term);
  data.set_digest(image.digest());
  for (auto& [key, value] : ImageBuilder::to_rows(image)) {
    SnapshotData::Row* row = data.add_rows();
    row->set_key(key);
    row->set_value(value);
  }
  return {std::move(base), data.SerializeAsString()};
}

Result<ImagePtr> decode_snapshot(const raft::Snapshot& snapshot) {
  SnapshotData data;
  if (!data.ParseFromString(snapshot.data) || data.index() != snapshot.base.index || data.term() != snapshot.base.term)
    return fail(Errc::corrupt, fmt::format("metadata snapshot at {} does not parse", snapshot.base.index));
  Rows rows;
  for (const SnapshotData::Row& row : data.rows()) rows.emplace(row.key(), row.value());
  auto image = ImageBuilder::load(rows, data.index());
  ORDEAL_TRY(image);
  if ((*image)->digest() != data.digest())
    return fail(Errc::corrupt, fmt::format("metadata snapshot at {}: digest differs", snapshot.base.index));
  return image;
}

}  // namespace ordeal::meta
