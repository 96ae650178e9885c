// Ordered key-value storage with atomic batches: what the Raft log, its hard state and the applied image live in.
//
// Calls block (they write a WAL and may sync): call them through env::blocking(). Keys compare as unsigned bytes.
// A background error of the engine ends the process: a store that may have lost writes must not go on serving.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/result.h"

namespace ordeal::kv {

// Applied in order, all or nothing, also across a crash.
class WriteBatch {
 public:
  struct Op {
    enum class Kind { put, remove, remove_range } kind;
    std::string key;    // remove_range: first key removed
    std::string value;  // remove_range: end of the range, exclusive
  };
  void put(std::string key, std::string value) { ops_.push_back({Op::Kind::put, std::move(key), std::move(value)}); }
  void remove(std::string key) { ops_.push_back({Op::Kind::remove, std::move(key), {}}); }
  void remove_range(std::string from, std::string to) {
    ops_.push_back({Op::Kind::remove_range, std::move(from), std::move(to)});
  }
  bool empty() const { return ops_.empty(); }
  const std::vector<Op>& ops() const { return ops_; }

 private:
  std::vector<Op> ops_;
};

enum class Sync { no, yes };  // yes: durable when write() returns ok

class KvReader {
 public:
  virtual ~KvReader() = default;
  virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
  // Visits [from, to) in key order until `visit` returns false. An empty `to` means no upper bound.
  virtual Status scan(std::string_view from, std::string_view to,
                      const std::function<bool(std::string_view key, std::string_view value)>& visit) const = 0;
};

class KvStore : public KvReader {
 public:
  virtual Status write(const WriteBatch& batch, Sync sync) = 0;
  virtual std::unique_ptr<KvReader> snapshot() const = 0;  // a consistent view; must not outlive the store
};

}  // namespace ordeal::kv
