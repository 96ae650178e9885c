// Destroys TCP connections inside a host's namespace (SOCK_DESTROY), as `ss -K` does but in process.
//
// After a long cut TCP waits for its retransmission timer, up to many seconds after the heal. Without the old
// connections both sides reconnect at once, so that recovery measures the system and not the kernel.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "broker/base/result.h"
#include "faults/real/switch.h"

namespace ordeal::nemesis {

// Connections of `host` to any of `peers` (addresses in network order); with `ports`, only those that have one of them
// at either end. Returns how many were destroyed. Errc::unsupported when the kernel lacks SOCK_DESTROY.
Result<int> destroy_connections(const Host& host, const std::set<std::uint32_t>& peers,
                                const std::set<std::uint16_t>& ports);

}  // namespace ordeal::nemesis
