// RocksDB's Env without threads and without a clock: the half of the determinism recipe that is not options.
//
// Jobs that RocksDB wants to run in the background (flushes) are queued, and run() executes them in the caller's
// thread. The store calls it after every call that may have queued one, so a job's file operations fall between
// two of our own calls and never beside one. RocksDB never waits for a job while it is queued: write stalls are
// avoided by flushing long before a memtable is full, and closing takes unstarted jobs back by UnSchedule.
// Time is a counter: RocksDB puts it into files and statistics, never into decisions under this recipe.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <deque>
#include <memory>

namespace ordeal::kv {

class PinnedEnv final : public rocksdb::Env {
 public:
  explicit PinnedEnv(std::shared_ptr<rocksdb::FileSystem> fs);
  ~PinnedEnv() override;
  const char* Name() const override { return "OrdealPinnedEnv"; }

  void run();  // executes queued jobs, and those they queue, in order

  void Schedule(void (*function)(void*), void* arg, Priority priority, void* tag, void (*unschedule)(void*)) override;
  int UnSchedule(void* tag, Priority priority) override;
  void StartThread(void (*function)(void*), void* arg) override;
  unsigned int GetThreadPoolQueueLen(Priority priority) const override;
  void SetBackgroundThreads(int, Priority) override {}
  int GetBackgroundThreads(Priority) override { return 1; }
  void IncBackgroundThreadsIfNeeded(int, Priority) override {}
  rocksdb::Status GetHostName(char* name, uint64_t length) override;
  uint64_t NowMicros() override;
  void SleepForMicroseconds(int micros) override;
  rocksdb::Status GetCurrentTime(int64_t* unix_time) override;
  std::string TimeToString(uint64_t time) override;

  // RocksDB opens files through the FileSystem; what it still asks of Env (the lock file) goes there too.
  rocksdb::Status NewSequentialFile(const std::string&, std::unique_ptr<rocksdb::SequentialFile>*,
                                    const rocksdb::EnvOptions&) override;
  rocksdb::Status NewRandomAccessFile(const std::string&, std::unique_ptr<rocksdb::RandomAccessFile>*,
                                      const rocksdb::EnvOptions&) override;
  rocksdb::Status NewWritableFile(const std::string&, std::unique_ptr<rocksdb::WritableFile>*,
                                  const rocksdb::EnvOptions&) override;
  rocksdb::Status NewDirectory(const std::string&, std::unique_ptr<rocksdb::Directory>*) override;
  rocksdb::Status FileExists(const std::string&) override;
  rocksdb::Status GetChildren(const std::string&, std::vector<std::string>*) override;
  rocksdb::Status DeleteFile(const std::string&) override;
  rocksdb::Status CreateDir(const std::string&) override;
  rocksdb::Status CreateDirIfMissing(const std::string&) override;
  rocksdb::Status DeleteDir(const std::string&) override;
  rocksdb::Status GetFileSize(const std::string&, uint64_t*) override;
  rocksdb::Status GetFileModificationTime(const std::string&, uint64_t*) override;
  rocksdb::Status RenameFile(const std::string&, const std::string&) override;
  rocksdb::Status LockFile(const std::string&, rocksdb::FileLock**) override;
  rocksdb::Status UnlockFile(rocksdb::FileLock*) override;
  rocksdb::Status GetTestDirectory(std::string*) override;
  rocksdb::Status NewLogger(const std::string&, std::shared_ptr<rocksdb::Logger>*) override;
  rocksdb::Status GetAbsolutePath(const std::string& path, std::string* result) override;

 private:
  class Clock;
  rocksdb::FileSystem& files() const { return *GetFileSystem(); }
  struct Job {
    void (*function)(void*);
    void* arg;
    Priority priority;
    void* tag;
    void (*unschedule)(void*);
  };
  PinnedEnv(std::shared_ptr<rocksdb::FileSystem> fs, std::shared_ptr<Clock> clock);

  std::shared_ptr<Clock> clock_;
  std::deque<Job> jobs_;
};

}  // namespace ordeal::kv
