// POSIX files. Stateless: every call goes to the kernel, from whichever thread makes it.
#pragma once

#include "broker/env/disk.h"

namespace ordeal::real {

class RealDisk final : public env::Disk {
 public:
  Result<std::unique_ptr<env::File>> open(const std::string& path, env::OpenMode mode) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status remove_tree(const std::string& path) override;
  Status create_directories(const std::string& path) override;
  Result<std::vector<env::DirectoryEntry>> list(const std::string& path) override;
  bool exists(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
};

}  // namespace ordeal::real
