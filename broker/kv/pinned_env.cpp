#include "broker/kv/pinned_env.h"

#include <rocksdb/system_clock.h>

#include <atomic>

#include "broker/base/check.h"

namespace ordeal::kv {

namespace {
constexpr std::int64_t kEpochSeconds = 1'700'000'000;  // any fixed date: files must not carry today's
rocksdb::Status unused() { return rocksdb::Status::NotSupported("files are opened through the FileSystem"); }
}  // namespace

// Atomic because RocksDB's process-wide timer thread may ask for the time.
class PinnedEnv::Clock final : public rocksdb::SystemClock {
 public:
  const char* Name() const override { return "OrdealPinnedClock"; }
  uint64_t NowMicros() override { return micros_.fetch_add(1) + 1; }
  void SleepForMicroseconds(int micros) override { micros_ += static_cast<std::uint64_t>(micros); }
  rocksdb::Status GetCurrentTime(int64_t* unix_time) override {
    *unix_time = kEpochSeconds;
    return rocksdb::Status::OK();
  }
  std::string TimeToString(uint64_t time) override { return std::to_string(time); }

 private:
  std::atomic<std::uint64_t> micros_{0};
};

PinnedEnv::PinnedEnv(std::shared_ptr<rocksdb::FileSystem> fs) : PinnedEnv(std::move(fs), std::make_shared<Clock>()) {}
PinnedEnv::PinnedEnv(std::shared_ptr<rocksdb::FileSystem> fs, std::shared_ptr<Clock> clock)
    : rocksdb::Env(fs, clock), clock_(std::move(clock)) {}
PinnedEnv::~PinnedEnv() { ORDEAL_CHECK(jobs_.empty(), "{} jobs left", jobs_.size()); }

void PinnedEnv::run() {
  while (!jobs_.empty()) {
    const Job job = jobs_.front();
    jobs_.pop_front();
    job.function(job.arg);
  }
}

void PinnedEnv::Schedule(void (*function)(void*), void* arg, Priority priority, void* tag, void (*unschedule)(void*)) {
  jobs_.push_back({function, arg, priority, tag, unschedule});
}

int PinnedEnv::UnSchedule(void* tag, Priority priority) {
  int removed = 0;
  for (auto at = jobs_.begin(); at != jobs_.end();) {
    if (at->tag != tag || at->priority != priority) {
      ++at;
      continue;
    }
    const Job job = *at;
    at = jobs_.erase(at);
    if (job.unschedule != nullptr) job.unschedule(job.arg);
    ++removed;
  }
  return removed;
}

void PinnedEnv::StartThread(void (*)(void*), void*) { ORDEAL_CHECK(false, "RocksDB asked for a thread of its own"); }

unsigned int PinnedEnv::GetThreadPoolQueueLen(Priority priority) const {
  unsigned int length = 0;
  for (const Job& job : jobs_) length += job.priority == priority ? 1 : 0;
  return length;
}

rocksdb::Status PinnedEnv::GetHostName(char* name, uint64_t length) {
  if (length > 0) name[0] = '\0';
  return rocksdb::Status::OK();
}
uint64_t PinnedEnv::NowMicros() { return clock_->NowMicros(); }
void PinnedEnv::SleepForMicroseconds(int micros) { clock_->SleepForMicroseconds(micros); }
rocksdb::Status PinnedEnv::GetCurrentTime(int64_t* unix_time) { return clock_->GetCurrentTime(unix_time); }
std::string PinnedEnv::TimeToString(uint64_t time) { return clock_->TimeToString(time); }

rocksdb::Status PinnedEnv::NewSequentialFile(const std::string&, std::unique_ptr<rocksdb::SequentialFile>*,
                                             const rocksdb::EnvOptions&) {
  return unused();
}
rocksdb::Status PinnedEnv::NewRandomAccessFile(const std::string&, std::unique_ptr<rocksdb::RandomAccessFile>*,
                                               const rocksdb::EnvOptions&) {
  return unused();
}
rocksdb::Status PinnedEnv::NewWritableFile(const std::string&, std::unique_ptr<rocksdb::WritableFile>*,
                                           const rocksdb::EnvOptions&) {
  return unused();
}
rocksdb::Status PinnedEnv::NewDirectory(const std::string&, std::unique_ptr<rocksdb::Directory>*) { return unused(); }
rocksdb::Status PinnedEnv::FileExists(const std::string& path) { return files().FileExists(path, {}, nullptr); }
rocksdb::Status PinnedEnv::GetChildren(const std::string& path, std::vector<std::string>* names) {
  return files().GetChildren(path, {}, names, nullptr);
}
rocksdb::Status PinnedEnv::DeleteFile(const std::string& path) { return files().DeleteFile(path, {}, nullptr); }
rocksdb::Status PinnedEnv::CreateDir(const std::string& path) { return files().CreateDir(path, {}, nullptr); }
rocksdb::Status PinnedEnv::CreateDirIfMissing(const std::string& path) {
  return files().CreateDirIfMissing(path, {}, nullptr);
}
rocksdb::Status PinnedEnv::DeleteDir(const std::string& path) { return files().DeleteDir(path, {}, nullptr); }
rocksdb::Status PinnedEnv::GetFileSize(const std::string& path, uint64_t* size) {
  return files().GetFileSize(path, {}, size, nullptr);
}
rocksdb::Status PinnedEnv::GetFileModificationTime(const std::string& path, uint64_t* time) {
  return files().GetFileModificationTime(path, {}, time, nullptr);
}
rocksdb::Status PinnedEnv::RenameFile(const std::string& from, const std::string& to) {
  return files().RenameFile(from, to, {}, nullptr);
}
rocksdb::Status PinnedEnv::LockFile(const std::string& path, rocksdb::FileLock** lock) {
  return files().LockFile(path, {}, lock, nullptr);
}
rocksdb::Status PinnedEnv::UnlockFile(rocksdb::FileLock* lock) { return files().UnlockFile(lock, {}, nullptr); }
rocksdb::Status PinnedEnv::GetTestDirectory(std::string*) { return unused(); }
rocksdb::Status PinnedEnv::NewLogger(const std::string&, std::shared_ptr<rocksdb::Logger>*) { return unused(); }
rocksdb::Status PinnedEnv::GetAbsolutePath(const std::string& path, std::string* result) {
  *result = path;
  return rocksdb::Status::OK();
}

}  // namespace ordeal::kv
