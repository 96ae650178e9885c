#include "broker/kv/rocks_store.h"

#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>

#include <atomic>

#include "broker/base/check.h"
#include "broker/kv/pinned_env.h"
#include "broker/kv/rocks_fs.h"

namespace ordeal::kv {
namespace {

Error to_error(const rocksdb::Status& status) {
  Errc code = Errc::internal;
  if (status.IsCorruption()) code = Errc::corrupt;
  if (status.IsIOError()) code = status.IsNoSpace() ? Errc::no_space : Errc::io;
  if (status.IsInvalidArgument()) code = Errc::invalid_argument;
  return {code, "rocksdb: " + status.ToString()};
}
Status to_status(const rocksdb::Status& status) { return status.ok() ? Status{} : fail(to_error(status)); }

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view view(const rocksdb::Slice& part) { return {part.data(), part.size()}; }

// RocksDB's own log file is not kept: its writer aborts the process at the second line that a full disk refuses. What
// goes wrong comes back as a status, and background errors through the listener.
class SilentLogger final : public rocksdb::Logger {
 public:
  using Logger::Logv;
  void Logv(const char*, va_list) override {}
};

// Turns the engine's background errors into the owner's fatal handler. Errors while closing are expected (the disk of
// a killed node is frozen before its frames go) and lose nothing that was promised.
class ErrorListener final : public rocksdb::EventListener {
 public:
  explicit ErrorListener(FatalHandler handler) : handler_(std::move(handler)) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* error) override {
    if (closing) return;
    if (!handler_) check_failed(__FILE__, __LINE__, "rocksdb background error", error->ToString());
    handler_(error->ToString());
  }
  std::atomic<bool> closing = false;

 private:
  FatalHandler handler_;
};

// Options both worlds share.
rocksdb::Options common_options(const RocksConfig& config) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = config.memtable_bytes;
  options.compression = rocksdb::kNoCompression;  // small and hot; batches inside are compressed already if at all
  options.avoid_flush_during_shutdown = true;     // closing must not make durable what nobody asked to sync
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.max_open_files = 64;
  options.max_bgerror_resume_count = 0;  // an error is final: the owner ends the node
  options.info_log = std::make_shared<SilentLogger>();
  return options;
}

// The determinism recipe. With PinnedEnv no option here leaves a thread or a cache that could reorder file calls.
void pin(rocksdb::Options& options) {
  options.disable_auto_compactions = true;
  options.max_background_jobs = 1;
  options.max_subcompactions = 1;
  options.max_file_opening_threads = 1;
  options.write_buffer_size *= 4;  // the store flushes at memtable_bytes, so RocksDB never starts or stalls on its own
  options.allow_concurrent_memtable_write = false;
  options.enable_write_thread_adaptive_yield = false;
  options.enable_pipelined_write = false;
  options.use_adaptive_mutex = false;
  options.report_bg_io_stats = false;
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;  // what a cache keeps depends on ids that differ from run to run
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
}

class RocksReader : public KvReader {
 public:
  RocksReader(rocksdb::DB* db, const rocksdb::Snapshot* snapshot) : db_(db), snapshot_(snapshot) {}
  RocksReader(const RocksReader&) = delete;
  RocksReader& operator=(const RocksReader&) = delete;
  ~RocksReader() override {
    if (snapshot_ != nullptr) db_->ReleaseSnapshot(snapshot_);
  }

  Result<std::optional<std::string>> get(std::string_view key) const override {
    std::string value;
    const rocksdb::Status status = db_->Get(options(), slice(key), &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return fail(to_error(status));
    return value;
  }

  Status scan(std::string_view from, std::string_view to,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    rocksdb::ReadOptions read = options();
    const rocksdb::Slice bound = slice(to);
    if (!to.empty()) read.iterate_upper_bound = &bound;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(read));
    for (at->Seek(slice(from)); at->Valid(); at->Next())
      if (!visit(view(at->key()), view(at->value()))) return {};
    return to_status(at->status());
  }

 private:
  rocksdb::ReadOptions options() const {
    rocksdb::ReadOptions read;
    read.snapshot = snapshot_;
    return read;
  }

  rocksdb::DB* db_;
  const rocksdb::Snapshot* snapshot_;
};

class RocksStore final : public KvStore {
 public:
  RocksStore(std::unique_ptr<PinnedEnv> env, std::shared_ptr<ErrorListener> listener, std::unique_ptr<rocksdb::DB> db,
             std::uint64_t flush_bytes)
      : env_(std::move(env)),
        listener_(std::move(listener)),
        db_(std::move(db)),
        reader_(db_.get(), nullptr),
        flush_bytes_(flush_bytes) {}
  ~RocksStore() override { listener_->closing = true; }

  Result<std::optional<std::string>> get(std::string_view key) const override { return reader_.get(key); }
  Status scan(std::string_view from, std::string_view to,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    return reader_.scan(from, to, visit);
  }
  std::unique_ptr<KvReader> snapshot() const override {
    return std::make_unique<RocksReader>(db_.get(), db_->GetSnapshot());
  }

  Status write(const WriteBatch& batch, Sync sync) override {
    rocksdb::WriteBatch out;
    for (const WriteBatch::Op& op : batch.ops()) ORDEAL_TRY(add(out, op));
    rocksdb::WriteOptions options;
    options.sync = sync == Sync::yes;
    const std::uint64_t bytes = out.GetDataSize();
    ORDEAL_TRY(to_status(db_->Write(options, &out)));
    return env_ ? flush_when_due(bytes) : Status{};
  }

 private:
  static Status add(rocksdb::WriteBatch& out, const WriteBatch::Op& op) {
    switch (op.kind) {
      case WriteBatch::Op::Kind::put:
        return to_status(out.Put(op.key, op.value));
      case WriteBatch::Op::Kind::remove:
        return to_status(out.Delete(op.key));
      case WriteBatch::Op::Kind::remove_range:
        if (op.key >= op.value) return {};  // empty; RocksDB would refuse the batch
        return to_status(out.DeleteRange(op.key, op.value));
    }
    return fail(Errc::internal, "unknown batch operation");
  }

  // Pinned only: the flush that production leaves to a thread, at a point our calls alone decide.
  Status flush_when_due(std::uint64_t bytes) {
    unflushed_ += bytes;
    if (unflushed_ >= flush_bytes_) {
      unflushed_ = 0;
      rocksdb::FlushOptions flush;
      flush.wait = false;
      flush.allow_write_stall = true;
      ORDEAL_TRY(to_status(db_->Flush(flush)));
    }
    env_->run();
    return {};
  }

  std::unique_ptr<PinnedEnv> env_;  // null in production; outlives db_
  std::shared_ptr<ErrorListener> listener_;
  std::unique_ptr<rocksdb::DB> db_;
  RocksReader reader_;
  std::uint64_t flush_bytes_;
  std::uint64_t unflushed_ = 0;
};

rocksdb::IOStatus sync_directory(rocksdb::FileSystem& fs, const std::string& path) {
  std::unique_ptr<rocksdb::FSDirectory> directory;
  rocksdb::IOStatus status = fs.NewDirectory(path, {}, &directory, nullptr);
  return status.ok() ? directory->Fsync({}, nullptr) : status;
}

// Creates `path` with its parents and makes their names durable; RocksDB does so only for what is inside.
rocksdb::IOStatus create_durably(rocksdb::FileSystem& fs, const std::string& path) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    const std::size_t parent = part.rfind('/');
    if (!fs.FileExists(part, {}, nullptr).ok()) {
      rocksdb::IOStatus status = fs.CreateDirIfMissing(part, {}, nullptr);
      if (status.ok() && parent != std::string::npos)
        status = sync_directory(fs, parent == 0 ? "/" : part.substr(0, parent));
      if (!status.ok()) return status;
    }
    if (slash == std::string::npos) return rocksdb::IOStatus::OK();
  }
}

std::shared_ptr<rocksdb::FileSystem> file_system(const RocksConfig& config) {
  return config.disk != nullptr ? make_rocks_fs(*config.disk) : rocksdb::FileSystem::Default();
}

}  // namespace

Result<std::unique_ptr<KvStore>> open_rocks(const RocksConfig& config) {
  if (config.path.empty()) return fail(Errc::invalid_argument, "a store needs a path");
  if (config.disk != nullptr && !config.pinned)
    return fail(Errc::invalid_argument, "a store on an Env's disk must be pinned: a disk knows no foreign threads");
  const auto fs = file_system(config);
  rocksdb::Options options = common_options(config);
  std::unique_ptr<PinnedEnv> env;
  if (config.pinned) {
    pin(options);
    env = std::make_unique<PinnedEnv>(fs);
    options.env = env.get();
  }
  const rocksdb::IOStatus created = create_durably(*fs, config.path);
  if (!created.ok()) return fail(to_error(created).at(config.path));
  auto listener = std::make_shared<ErrorListener>(config.on_background_error);
  options.listeners.push_back(listener);
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(options, config.path, &raw);
  if (env) env->run();
  if (!opened.ok()) return fail(to_error(opened).at(config.path));
  return std::make_unique<RocksStore>(std::move(env), std::move(listener), std::unique_ptr<rocksdb::DB>(raw),
                                      config.memtable_bytes);
}

Status destroy_rocks(const RocksConfig& config) {
  if (config.disk != nullptr) return config.disk->remove_tree(config.path);
  rocksdb::Options options;
  return to_status(rocksdb::DestroyDB(config.path, options));
}

KvFactory rocks_factory(FatalHandler on_background_error) {
  return [handler = std::move(on_background_error)](const std::string& path) {
    RocksConfig config;
    config.path = path;
    config.on_background_error = handler;
    return open_rocks(config);
  };
}

KvFactory pinned_rocks_factory(env::Disk& disk, FatalHandler on_background_error) {
  return [&disk, handler = std::move(on_background_error)](const std::string& path) {
    RocksConfig config;
    config.path = path;
    config.disk = &disk;
    config.pinned = true;
    config.on_background_error = handler;
    return open_rocks(config);
  };
}

}  // namespace ordeal::kv
