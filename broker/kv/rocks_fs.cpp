#include "broker/kv/rocks_fs.h"

#include <set>

namespace ordeal::kv {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

IOStatus to_rocks(const Error& error) {
  if (error.code == Errc::not_found) return IOStatus::PathNotFound(error.text);
  if (error.code == Errc::no_space) return IOStatus::NoSpace(error.text);
  return IOStatus::IOError(error.to_string());
}
IOStatus to_rocks(const Status& status) { return status ? IOStatus::OK() : to_rocks(status.error()); }

// Shared by sequential and random-access files.
IOStatus read_into(env::File& file, std::uint64_t offset, std::size_t count, rocksdb::Slice* result, char* scratch) {
  auto got = file.read_at(offset, MutableByteView(reinterpret_cast<std::uint8_t*>(scratch), count));
  *result = rocksdb::Slice(scratch, got ? *got : 0);
  return got ? IOStatus::OK() : to_rocks(got.error());
}

class SequentialFile final : public rocksdb::FSSequentialFile {
 public:
  explicit SequentialFile(std::unique_ptr<env::File> file) : file_(std::move(file)) {}
  IOStatus Read(size_t count, const IOOptions&, rocksdb::Slice* result, char* scratch, IODebugContext*) override {
    IOStatus status = read_into(*file_, position_, count, result, scratch);
    position_ += result->size();
    return status;
  }
  IOStatus Skip(uint64_t count) override {
    position_ += count;
    return IOStatus::OK();
  }

 private:
  std::unique_ptr<env::File> file_;
  std::uint64_t position_ = 0;
};

class RandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  explicit RandomAccessFile(std::unique_ptr<env::File> file) : file_(std::move(file)) {}
  IOStatus Read(uint64_t offset, size_t count, const IOOptions&, rocksdb::Slice* result, char* scratch,
                IODebugContext*) const override {
    return read_into(*file_, offset, count, result, scratch);
  }

 private:
  std::unique_ptr<env::File> file_;
};

class WritableFile final : public rocksdb::FSWritableFile {
 public:
  WritableFile(std::unique_ptr<env::File> file, std::uint64_t size, const FileOptions& options)
      : FSWritableFile(options), file_(std::move(file)), size_(size) {}
  using FSWritableFile::Append;  // the overload with a checksum hands over to the plain one
  IOStatus Append(const rocksdb::Slice& data, const IOOptions&, IODebugContext*) override {
    const ByteView bytes = as_bytes(std::string_view(data.data(), data.size()));
    Status written = file_->write_at(size_, bytes);
    if (written) size_ += bytes.size();
    return to_rocks(written);
  }
  IOStatus Truncate(uint64_t size, const IOOptions&, IODebugContext*) override {
    if (size == size_) return IOStatus::OK();
    Status done = file_->truncate(size);
    if (done) size_ = size;
    return to_rocks(done);
  }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return to_rocks(file_->sync()); }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return size_; }

 private:
  std::unique_ptr<env::File> file_;
  std::uint64_t size_;
};

class Directory final : public rocksdb::FSDirectory {
 public:
  Directory(env::Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return to_rocks(disk_.sync_directory(path_)); }
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  env::Disk& disk_;
  std::string path_;
};

struct Lock final : rocksdb::FileLock {
  explicit Lock(std::string name) : path(std::move(name)) {}
  std::string path;
};

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

class DiskFileSystem final : public rocksdb::FileSystem {
 public:
  explicit DiskFileSystem(env::Disk& disk) : disk_(disk) {}
  const char* Name() const override { return "OrdealDiskFileSystem"; }

  IOStatus NewSequentialFile(const std::string& path, const FileOptions&,
                             std::unique_ptr<rocksdb::FSSequentialFile>* result, IODebugContext*) override {
    auto file = disk_.open(path, env::OpenMode::read);
    if (!file) return to_rocks(file.error());
    *result = std::make_unique<SequentialFile>(std::move(*file));
    return IOStatus::OK();
  }
  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions&,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* result, IODebugContext*) override {
    auto file = disk_.open(path, env::OpenMode::read);
    if (!file) return to_rocks(file.error());
    *result = std::make_unique<RandomAccessFile>(std::move(*file));
    return IOStatus::OK();
  }
  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext*) override {
    return open_writable(path, options, true, result);
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext*) override {
    return open_writable(path, options, false, result);
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions&, std::unique_ptr<rocksdb::FSDirectory>* result,
                        IODebugContext*) override {
    if (!disk_.exists(without_slash(path))) return IOStatus::PathNotFound(path);
    *result = std::make_unique<Directory>(disk_, without_slash(path));
    return IOStatus::OK();
  }

  IOStatus FileExists(const std::string& path, const IOOptions&, IODebugContext*) override {
    return disk_.exists(without_slash(path)) ? IOStatus::OK() : IOStatus::NotFound(path);
  }
  IOStatus GetChildren(const std::string& path, const IOOptions&, std::vector<std::string>* result,
                       IODebugContext*) override {
    result->clear();
    auto entries = disk_.list(without_slash(path));
    if (!entries) return entries.error().code == Errc::not_found ? IOStatus::NotFound(path) : to_rocks(entries.error());
    for (auto& entry : *entries) result->push_back(std::move(entry.name));
    return IOStatus::OK();
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions&, IODebugContext*) override {
    return to_rocks(disk_.remove(path));
  }
  IOStatus Truncate(const std::string& path, size_t size, const IOOptions&, IODebugContext*) override {
    auto file = disk_.open(path, env::OpenMode::read_write);
    return file ? to_rocks((*file)->truncate(size)) : to_rocks(file.error());
  }
  IOStatus CreateDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    if (disk_.exists(without_slash(path))) return IOStatus::IOError(path + ": already exists");
    return to_rocks(disk_.create_directories(without_slash(path)));
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions&, IODebugContext*) override {
    return to_rocks(disk_.create_directories(without_slash(path)));
  }
  IOStatus DeleteDir(const std::string& path, const IOOptions&, IODebugContext*) override {
    return to_rocks(disk_.remove(without_slash(path)));
  }
  IOStatus GetFileSize(const std::string& path, const IOOptions&, uint64_t* size, IODebugContext*) override {
    *size = 0;
    auto file = disk_.open(path, env::OpenMode::read);
    if (!file) return to_rocks(file.error());
    auto known = (*file)->size();
    if (!known) return to_rocks(known.error());
    *size = *known;
    return IOStatus::OK();
  }
  IOStatus GetFileModificationTime(const std::string&, const IOOptions&, uint64_t* time, IODebugContext*) override {
    *time = 0;  // a Disk keeps no times; RocksDB reads them for periodic compaction only, which is off
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions&, IODebugContext*) override {
    return to_rocks(disk_.rename(from, to));
  }
  IOStatus LockFile(const std::string& path, const IOOptions&, rocksdb::FileLock** lock, IODebugContext*) override {
    *lock = nullptr;
    if (locks_.contains(path)) return IOStatus::IOError(path + ": locked already");
    auto file = disk_.open(path, env::OpenMode::create);
    if (!file) return to_rocks(file.error());
    locks_.insert(path);
    *lock = new Lock(path);
    return IOStatus::OK();
  }
  IOStatus UnlockFile(rocksdb::FileLock* lock, const IOOptions&, IODebugContext*) override {
    std::unique_ptr<Lock> held(static_cast<Lock*>(lock));
    locks_.erase(held->path);
    return IOStatus::OK();
  }
  IOStatus GetTestDirectory(const IOOptions&, std::string*, IODebugContext*) override {
    return IOStatus::NotSupported("no test directory");
  }
  IOStatus GetAbsolutePath(const std::string& path, const IOOptions&, std::string* result, IODebugContext*) override {
    *result = path;
    return IOStatus::OK();
  }
  IOStatus IsDirectory(const std::string& path, const IOOptions&, bool* is_directory, IODebugContext*) override {
    auto entries = disk_.list(without_slash(path));
    *is_directory = entries.has_value();
    return entries || disk_.exists(path) ? IOStatus::OK() : to_rocks(entries.error());
  }

 private:
  IOStatus open_writable(const std::string& path, const FileOptions& options, bool empty,
                         std::unique_ptr<rocksdb::FSWritableFile>* result) {
    auto file = disk_.open(path, env::OpenMode::create);
    if (!file) return to_rocks(file.error());
    auto size = (*file)->size();
    if (!size) return to_rocks(size.error());
    if (empty && *size > 0) {
      Status emptied = (*file)->truncate(0);
      if (!emptied) return to_rocks(emptied);
      size = 0;
    }
    *result = std::make_unique<WritableFile>(std::move(*file), *size, options);
    return IOStatus::OK();
  }

  env::Disk& disk_;
  std::set<std::string> locks_;  // of this store only: two stores on one directory are the wiring's mistake
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> make_rocks_fs(env::Disk& disk) { return std::make_shared<DiskFileSystem>(disk); }

}  // namespace ordeal::kv
