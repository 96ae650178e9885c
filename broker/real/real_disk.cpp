#include "broker/real/real_disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace ordeal::real {
namespace {

Error from_errno(int code, const std::string& what) {
  Errc kind = Errc::io;
  if (code == ENOENT) kind = Errc::not_found;
  if (code == EEXIST) kind = Errc::already_exists;
  if (code == ENOSPC || code == EDQUOT) kind = Errc::no_space;
  return {kind, fmt::format("{}: {}", what, std::strerror(code))};
}

class RealFile final : public env::File {
 public:
  RealFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~RealFile() override { ::close(fd_); }

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteView buffer) override {
    std::size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t got = ::pread(fd_, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail(from_errno(errno, fmt::format("read {} at {}", path_, offset)));
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Status write_at(std::uint64_t offset, std::span<const ByteView> parts) override {
    std::vector<iovec> pieces;
    pieces.reserve(parts.size());
    for (const ByteView part : parts) {
      if (!part.empty()) pieces.push_back({const_cast<std::uint8_t*>(part.data()), part.size()});
    }
    std::size_t first = 0;
    while (first < pieces.size()) {
      const int count = static_cast<int>(std::min<std::size_t>(pieces.size() - first, 512));
      const ssize_t put = ::pwritev(fd_, pieces.data() + first, count, static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return fail(from_errno(errno, fmt::format("write {} at {}", path_, offset)));
      offset += static_cast<std::uint64_t>(put);
      std::size_t left = static_cast<std::size_t>(put);
      while (first < pieces.size() && left >= pieces[first].iov_len) left -= pieces[first++].iov_len;
      if (left > 0) {
        pieces[first].iov_base = static_cast<std::uint8_t*>(pieces[first].iov_base) + left;
        pieces[first].iov_len -= left;
      }
    }
    return {};
  }

  Status sync() override {
    if (::fdatasync(fd_) != 0) return fail(from_errno(errno, "fdatasync " + path_));
    return {};
  }

  Status truncate(std::uint64_t size) override {
    if (::ftruncate(fd_, static_cast<off_t>(size)) != 0)
      return fail(from_errno(errno, fmt::format("truncate {} to {}", path_, size)));
    return {};
  }

  Status preallocate(std::uint64_t size) override {
    if (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size)) == 0) return {};
    if (errno == EOPNOTSUPP || errno == ENOSYS) return {};  // an optimisation only: tmpfs and others may lack it
    return fail(from_errno(errno, fmt::format("preallocate {} to {}", path_, size)));
  }

  Result<std::uint64_t> size() const override {
    struct stat facts{};
    if (::fstat(fd_, &facts) != 0) return fail(from_errno(errno, "stat " + path_));
    return static_cast<std::uint64_t>(facts.st_size);
  }

 private:
  int fd_;
  std::string path_;
};

}  // namespace

Result<std::unique_ptr<env::File>> RealDisk::open(const std::string& path, env::OpenMode mode) {
  int flags = O_CLOEXEC;
  switch (mode) {
    case env::OpenMode::read:
      flags |= O_RDONLY;
      break;
    case env::OpenMode::read_write:
      flags |= O_RDWR;
      break;
    case env::OpenMode::create:
      flags |= O_RDWR | O_CREAT;
      break;
    case env::OpenMode::create_new:
      flags |= O_RDWR | O_CREAT | O_EXCL;
      break;
  }
  const int fd = ::open(path.c_str(), flags, 0644);
  if (fd < 0) return fail(from_errno(errno, "open " + path));
  return std::make_unique<RealFile>(fd, path);
}

Status RealDisk::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return fail(from_errno(errno, fmt::format("rename {} to {}", from, to)));
  return {};
}

Status RealDisk::remove(const std::string& path) {
  if (::remove(path.c_str()) != 0) return fail(from_errno(errno, "remove " + path));
  return {};
}

Status RealDisk::remove_tree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return fail(from_errno(error.value(), "remove " + path));
  return {};
}

Status RealDisk::create_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail(from_errno(error.value(), "create directory " + path));
  return {};
}

Result<std::vector<env::DirectoryEntry>> RealDisk::list(const std::string& path) {
  std::error_code error;
  std::filesystem::directory_iterator entries(path, error);
  if (error) return fail(from_errno(error.value(), "list " + path));
  std::vector<env::DirectoryEntry> found;
  for (; entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    if (error) return fail(from_errno(error.value(), "list " + path));
    env::DirectoryEntry entry{entries->path().filename().string(), entries->is_directory(error), 0};
    // A file that vanishes while we list (a deletion elsewhere) is left out, not an error.
    if (!entry.is_directory) {
      entry.size = entries->file_size(error);
      if (error) continue;
    }
    found.push_back(std::move(entry));
  }
  std::ranges::sort(found, {}, &env::DirectoryEntry::name);
  return found;
}

bool RealDisk::exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Status RealDisk::sync_directory(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail(from_errno(errno, "open directory " + path));
  const int failed = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (failed != 0) return fail(from_errno(failed, "fsync directory " + path));
  return {};
}

}  // namespace ordeal::real
