// What this machine can do, found by doing it in a child process, and what each missing thing costs.
#pragma once

#include <nlohmann/json.hpp>

namespace ordeal::nemesis {

// {"kernel":..,"rootless":bool,"able":bool,"capabilities":[{"name","ok","detail","costs"}]}; `able`: trials can run.
// Needs a single-threaded process; leaves nothing behind.
nlohmann::json examine_machine();

}  // namespace ordeal::nemesis
