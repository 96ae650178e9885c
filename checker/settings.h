// Effective settings: one key at a time, and the weakest of what the trial declared and a client read back.
#pragma once

#include "checker/check.h"

namespace ordeal::checker {

// Unknown keys are ignored: client configurations hold many that promise nothing.
Status parse_setting(const std::string& key, const std::string& value, Settings& out);

// `declared` weakened by what this client says of itself; each difference is noted in words.
Result<Settings> weakest(const Settings& declared, const std::map<std::string, std::string>& client,
                         std::vector<std::string>& notes, const std::string& who);

}  // namespace ordeal::checker
