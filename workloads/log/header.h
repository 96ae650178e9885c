// What every history file of the log workload says of its client, whichever client it is.
#pragma once

#include <string>

#include "workloads/history/history.h"
#include "workloads/log/config.h"

namespace ordeal::workload {

// Value ids are the writer's business: a header from here sends nothing (value_stride 0).
history::Header client_header(const LogConfig& config, const std::string& writer, const std::string& client_kind,
                              const std::string& client_version);

}  // namespace ordeal::workload
