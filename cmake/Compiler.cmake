# clang 19 is the compiler of record. g++ 12 is refused: it destroys temporaries and lambda captures
# written inside a co_await expression twice (found by probe programs at -O0, -O1 and -O2 alike).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  message(FATAL_ERROR
    "g++ ${CMAKE_CXX_COMPILER_VERSION} miscompiles C++ coroutines (temporaries inside co_await are "
    "destroyed twice). Use clang 19:\n  cmake --preset dev      (or -DCMAKE_CXX_COMPILER=clang++-19)")
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 17)
  message(FATAL_ERROR "clang ${CMAKE_CXX_COMPILER_VERSION} is too old for C++23 here; clang 19 is the compiler of record.")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
# Assertions are ours (CHECK) and stay on in every build, so NDEBUG changes nothing we rely on.
# -g1: line tables only; full debug info doubles link time and disk on small machines.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
