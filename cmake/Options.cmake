# Flags every target of ours carries (a library of flags, linked by ordeal_library and friends).
add_library(ordeal_flags INTERFACE)
target_include_directories(ordeal_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_options(ordeal_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
  -Wno-missing-field-initializers -Wno-missing-designated-field-initializers -fno-omit-frame-pointer -msse4.2)
target_compile_definitions(ordeal_flags INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  ORDEAL_MUTATIONS=$<BOOL:${ORDEAL_MUTATIONS}> ORDEAL_VERSION="${PROJECT_VERSION}")
if(ORDEAL_SANITIZE)
  target_compile_options(ordeal_flags INTERFACE -fsanitize=${ORDEAL_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(ordeal_flags INTERFACE -fsanitize=${ORDEAL_SANITIZE})
endif()
if(ORDEAL_FUZZERS)
  target_compile_options(ordeal_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
find_program(ORDEAL_LLD NAMES ld.lld-19 ld.lld)
if(ORDEAL_LLD)
  target_link_options(ordeal_flags INTERFACE --ld-path=${ORDEAL_LLD})
endif()
# ccache refuses precompiled headers unless told that we mean it; without these every call would miss.
find_program(ORDEAL_CCACHE ccache)
if(ORDEAL_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros ${ORDEAL_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()
