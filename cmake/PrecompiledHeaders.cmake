# Headers that nearly every translation unit reads, parsed once: those of the standard library, fmt and nlohmann/json for all
# folders, and on top of them the records and protocols for the folders that know both: flow and engine know no record. A source file
# still includes all that it uses: the presets "asan", "tsan" and "fuzz" build without these.

set(FRAZIL_COMMON_HEADERS
    <fmt/format.h> <nlohmann/json.hpp>
    <algorithm> <array> <charconv> <chrono> <cmath> <complex> <cstdint> <cstdio> <cstdlib> <cstring> <filesystem> <fstream> <functional>
    <iostream> <limits> <map> <memory> <mutex> <numbers> <numeric> <optional> <random> <set> <span> <string> <string_view> <thread> <tuple>
    <utility> <vector>)
set(FRAZIL_RECORD_HEADERS <frazil/flow/protocol.hpp> <frazil/model/records.hpp>)
set(FRAZIL_FOLDERS_WITH_RECORDS protocols plugin report bundle cli)

# frazil_precompile(TARGET NAME PREFIX) lets a target of the folder NAME read what was precompiled for such targets; PREFIX is
# frazil or frazil_test: programs are compiled with -fPIE, libraries with -fPIC, and the headers must agree.
function(frazil_precompile TARGET NAME PREFIX)
  if(FRAZIL_PCH)
    if(NAME IN_LIST FRAZIL_FOLDERS_WITH_RECORDS)
      target_precompile_headers(${TARGET} REUSE_FROM ${PREFIX}_record_headers)
    else()
      target_precompile_headers(${TARGET} REUSE_FROM ${PREFIX}_headers)
    endif()
  endif()
endfunction()

function(frazil_add_headers TARGET)
  target_include_directories(${TARGET} PRIVATE ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${TARGET} PRIVATE frazil_warnings fmt::fmt nlohmann_json::nlohmann_json)
  target_precompile_headers(${TARGET} PRIVATE ${ARGN})
endfunction()

if(FRAZIL_PCH)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled.cpp CONTENT "int main() { return 0; }\n")
  add_library(frazil_headers OBJECT ${CMAKE_BINARY_DIR}/precompiled.cpp)
  frazil_add_headers(frazil_headers ${FRAZIL_COMMON_HEADERS})
  add_library(frazil_record_headers OBJECT ${CMAKE_BINARY_DIR}/precompiled.cpp)
  frazil_add_headers(frazil_record_headers ${FRAZIL_COMMON_HEADERS} ${FRAZIL_RECORD_HEADERS})
  if(FRAZIL_TESTS)
    add_executable(frazil_test_headers ${CMAKE_BINARY_DIR}/precompiled.cpp)
    frazil_add_headers(frazil_test_headers <gtest/gtest.h> ${FRAZIL_COMMON_HEADERS})
    target_link_libraries(frazil_test_headers PRIVATE GTest::gtest)
    add_executable(frazil_test_record_headers ${CMAKE_BINARY_DIR}/precompiled.cpp)
    frazil_add_headers(frazil_test_record_headers <gtest/gtest.h> ${FRAZIL_COMMON_HEADERS} ${FRAZIL_RECORD_HEADERS})
    target_link_libraries(frazil_test_record_headers PRIVATE GTest::gtest)
  endif()
endif()
