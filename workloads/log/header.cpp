#include "workloads/log/header.h"

namespace ordeal::workload {

history::Header client_header(const LogConfig& config, const std::string& writer, const std::string& client_kind,
                              const std::string& client_version) {
  history::Header header;
  header.run_id = config.run_id;
  header.writer = writer;
  header.client_kind = client_kind;
  header.client_version = client_version;
  header.objects = config.objects();
  header.config = {{"acks", config.acks == -1 ? "all" : std::to_string(config.acks)},
                   {"enable.idempotence", config.idempotence ? "true" : "false"},
                   {"compression.type", config.compression},
                   {"isolation.level", config.isolation},
                   {"max.in.flight.requests.per.connection", std::to_string(config.max_in_flight)}};
  if (config.retries >= 0) header.config["retries"] = std::to_string(config.retries);
  return header;
}

}  // namespace ordeal::workload
