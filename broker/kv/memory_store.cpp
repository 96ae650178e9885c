#include "broker/kv/memory_store.h"

namespace ordeal::kv {

Result<std::optional<std::string>> MemoryStore::get(std::string_view key) const {
  auto found = entries_.find(key);
  return found == entries_.end() ? std::nullopt : std::optional(found->second);
}

Status MemoryStore::scan(std::string_view from, std::string_view to,
                         const std::function<bool(std::string_view, std::string_view)>& visit) const {
  for (auto at = entries_.lower_bound(from); at != entries_.end() && (to.empty() || at->first < to); ++at)
    if (!visit(at->first, at->second)) break;
  return {};
}

Status MemoryStore::write(const WriteBatch& batch, Sync sync) {
  for (const WriteBatch::Op& op : batch.ops()) {
    switch (op.kind) {
      case WriteBatch::Op::Kind::put:
        entries_[op.key] = op.value;
        break;
      case WriteBatch::Op::Kind::remove:
        entries_.erase(op.key);
        break;
      case WriteBatch::Op::Kind::remove_range:
        if (op.key < op.value) entries_.erase(entries_.lower_bound(op.key), entries_.lower_bound(op.value));
        break;
    }
  }
  if (sync == Sync::yes) ++synced_writes_;
  return {};
}

std::unique_ptr<KvReader> MemoryStore::snapshot() const { return std::make_unique<MemoryStore>(*this); }

}  // namespace ordeal::kv
