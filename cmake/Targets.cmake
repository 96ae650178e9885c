# ordeal_library(NAME DEPS...)      every .cpp of the folder but tests, mains, fuzzers and benches;
#                                   plus NAME_test from *_test.cpp (doctest), registered with ctest.
# ordeal_program(NAME SOURCE DEPS...)
# ordeal_fuzzer(NAME SOURCE DEPS...)  only with ORDEAL_FUZZERS=ON
# ordeal_proto(TARGET FILE...)      generated into build/generated/<same folder>
include(CTest)

# The heavy headers, compiled once: a plain set (ordeal_base), and one with Asio's awaitable for coroutine folders.
function(ordeal_use_pch target)
  file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  set(from ordeal_base)
  if(folder MATCHES "^(broker/(env|meta|replica|server|real)|workloads/(client|log)|faults/sim)$" AND TARGET ordeal_env)
    set(from ordeal_env)
  endif()
  if(target STREQUAL from OR ORDEAL_FUZZERS)
    return()
  endif()
  target_precompile_headers(${target} REUSE_FROM ${from})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()

# Called by the two targets that own a set.
function(ordeal_own_pch target)
  if(ORDEAL_FUZZERS)
    return()
  endif()
  target_precompile_headers(${target} PRIVATE ${ARGN})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()

function(ordeal_library name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "(_test|_fuzz|_bench|main)\\.cpp$")
  if(NOT sources)  # headers only (so far): a target must still exist to be linked
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}_empty.cpp "")
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/${name}_empty.cpp)
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC ordeal_flags ${ARGN})
  ordeal_use_pch(${name})
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp)
  if(tests AND BUILD_TESTING)
    add_executable(${name}_test ${tests} ${CMAKE_SOURCE_DIR}/broker/base/doctest_main.cpp)
    target_link_libraries(${name}_test PRIVATE ${name} doctest::doctest)
    ordeal_use_pch(${name}_test)
    add_test(NAME ${name} COMMAND ${name}_test)
  endif()
endfunction()

function(ordeal_program name source)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE ordeal_flags ${ARGN})
  ordeal_use_pch(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

function(ordeal_fuzzer name source)
  if(ORDEAL_FUZZERS)
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE ordeal_flags ${ARGN})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  endif()
endfunction()

function(ordeal_proto target)
  file(RELATIVE_PATH folder ${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  set(out ${CMAKE_BINARY_DIR}/generated/${folder})
  file(MAKE_DIRECTORY ${out})
  foreach(file IN LISTS ARGN)
    get_filename_component(stem ${file} NAME_WE)
    add_custom_command(
      OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
      COMMAND protobuf::protoc --cpp_out=${CMAKE_BINARY_DIR}/generated -I${CMAKE_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${file}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file} VERBATIM)
    target_sources(${target} PRIVATE ${out}/${stem}.pb.cc)
    set_source_files_properties(${out}/${stem}.pb.cc PROPERTIES COMPILE_OPTIONS "-w" SKIP_PRECOMPILE_HEADERS ON)
    # A header-only handle so that dependents wait for the generator.
    add_custom_target(${target}_${stem}_proto DEPENDS ${out}/${stem}.pb.h)
    add_dependencies(${target} ${target}_${stem}_proto)
  endforeach()
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf)
endfunction()
