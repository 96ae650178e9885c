// The ordered-map twin of the RocksDB store: for tests of what stands on a KvStore, and as a differential oracle.
// Nothing of it survives destruction.
#pragma once

#include <map>

#include "broker/kv/kv_store.h"

namespace ordeal::kv {

class MemoryStore final : public KvStore {
 public:
  Result<std::optional<std::string>> get(std::string_view key) const override;
  Status scan(std::string_view from, std::string_view to,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override;
  Status write(const WriteBatch& batch, Sync sync) override;
  std::unique_ptr<KvReader> snapshot() const override;  // a copy

  std::uint64_t synced_writes() const { return synced_writes_; }

 private:
  std::map<std::string, std::string, std::less<>> entries_;
  std::uint64_t synced_writes_ = 0;
};

}  // namespace ordeal::kv
