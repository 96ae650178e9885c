// Writes the outcome of one send into the history, the same way for every client: classified by the error table.
#pragma once

#include <cstdint>

#include "workloads/client/delivery.h"
#include "workloads/history/writer.h"
#include "workloads/log/progress.h"

namespace ordeal::workload {

// The tag a send travels with: its value and object, so that a delivery needs no table. 40 + 16 bits.
inline std::uint64_t pack_tag(std::uint64_t value, std::uint16_t object) {
  return value | (std::uint64_t{object} << history::kValueBits);
}

// `delivery.tag` must come from pack_tag(). Counts into `progress`; true if the send was acknowledged.
bool record_delivery(history::Recorder& recorder, Progress& progress, Instant now, std::uint16_t process,
                     const client::Delivery& delivery);

// The client took nothing, so nothing can have been sent: a definite failure.
void record_refusal(history::Recorder& recorder, Progress& progress, Instant now, std::uint16_t process,
                    std::uint16_t object, std::uint64_t value, const std::string& error, const std::string& text);

}  // namespace ordeal::workload
