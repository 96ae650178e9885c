// Drawn durations, by integers only: floats would differ between machines' libraries.
#pragma once

#include "broker/base/random.h"
#include "broker/base/types.h"

namespace ordeal::plan {

// One draw. The tail is cut at five means: a rare giant gap would leave a short run without faults.
Duration sample_exponential(Duration mean, Random& random);

}  // namespace ordeal::plan
