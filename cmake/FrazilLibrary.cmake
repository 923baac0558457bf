# Compiler settings and frazil_library(): one target for each folder of src/frazil.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
# -O2 is enough: hot loops are written for the vectoriser or with Highway.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")

find_program(CCACHE ccache)
if(CCACHE)
  # With precompiled headers ccache looks at what they were made from, not at macros and times.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()

# x86-64-v3 is the floor (docs/decisions/0002-cpu-floor.md); AES and PCLMUL make Highway accept it as AVX2.
# No contraction chosen by the compiler's mood: the same results whichever translation unit a loop stands in.
add_compile_options(-march=x86-64-v3 -maes -mpclmul -ffp-contract=off)
if(FRAZIL_SANITIZE)
  add_compile_options(-fsanitize=${FRAZIL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FRAZIL_SANITIZE})
endif()
if(FRAZIL_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()

add_library(frazil_warnings INTERFACE)
target_compile_options(frazil_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # GCC 12 sees overlapping copies in plain string concatenation (its bug 105651).
  target_compile_options(frazil_warnings INTERFACE -Wno-restrict)
  # Read from a precompiled header, the library's own code counts as ours, and it warns of impossible lengths of strings (its bug
  # 105329). The presets "asan", "tsan" and "fuzz" build without these headers and warn as ever.
  if(FRAZIL_PCH)
    target_compile_options(frazil_warnings INTERFACE -Wno-stringop-overflow -Wno-array-bounds)
  endif()
endif()

# Within a batch (frazil_unite) a source file counts as a header, in which classes made of unnamed ones would be a mistake, and
# names of its neighbours are in sight. Builds file by file warn of both.
add_library(frazil_batch_warnings INTERFACE)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  target_compile_options(frazil_batch_warnings INTERFACE -Wno-subobject-linkage -Wno-shadow)
endif()

if(FRAZIL_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

# frazil_unite(TARGET) lets the compiler read the files of a target in batches (option FRAZIL_UNITY). Files with options of
# their own are compiled alone, as ever.
function(frazil_unite TARGET)
  if(FRAZIL_UNITY)
    set_target_properties(${TARGET} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 10)
    target_link_libraries(${TARGET} PRIVATE frazil_batch_warnings)
  endif()
endfunction()

# frazil_library(NAME [LINKS target...]) builds frazil_NAME from the .cpp files of the current folder.
# Beside them, *_test.cpp become the unit tests of that folder, *_integration_test.cpp its integration tests and
# *_interop_test.cpp its tests against other programs; the labels of ctest are unit, integration and interop.
function(frazil_library NAME)
  cmake_parse_arguments(ARG "" "" "LINKS;TEST_LINKS" ${ARGN})
  file(GLOB SOURCES CONFIGURE_DEPENDS *.cpp)
  set(UNIT ${SOURCES})
  set(INTEGRATION ${SOURCES})
  set(INTEROP ${SOURCES})
  list(FILTER SOURCES EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER SOURCES EXCLUDE REGEX "_main\\.cpp$")
  list(FILTER UNIT INCLUDE REGEX "_test\\.cpp$")
  list(FILTER UNIT EXCLUDE REGEX "_(integration|interop)_test\\.cpp$")
  list(FILTER INTEGRATION INCLUDE REGEX "_integration_test\\.cpp$")
  list(FILTER INTEROP INCLUDE REGEX "_interop_test\\.cpp$")
  set(TARGET frazil_${NAME})
  if(SOURCES)
    add_library(${TARGET} STATIC ${SOURCES})
    target_include_directories(${TARGET} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(${TARGET} PUBLIC ${ARG_LINKS} PRIVATE frazil_warnings)
    frazil_precompile(${TARGET} ${NAME} frazil)
    frazil_unite(${TARGET})
  else()
    add_library(${TARGET} INTERFACE)
    target_include_directories(${TARGET} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(${TARGET} INTERFACE ${ARG_LINKS})
  endif()
  if(FRAZIL_TESTS)
    frazil_tests(${NAME}_test unit "${UNIT}" ${TARGET} ${ARG_TEST_LINKS})
    frazil_tests(${NAME}_integration_test integration "${INTEGRATION}" ${TARGET} ${ARG_TEST_LINKS})
    frazil_tests(${NAME}_interop_test interop "${INTEROP}" ${TARGET} ${ARG_TEST_LINKS})
  endif()
endfunction()

if(FRAZIL_TESTS)
  add_custom_target(unit_tests)
endif()

# frazil_tests(NAME LABEL "sources" links...) one gtest executable whose cases carry the label; suites named *Interop* carry
# the label interop wherever they stand. The target unit_tests builds the executables of all unit tests.
function(frazil_tests NAME LABEL SOURCES)
  if(NOT SOURCES)
    return()
  endif()
  string(REPLACE "/" "_" TARGET ${NAME})
  add_executable(${TARGET} ${SOURCES})
  target_link_libraries(${TARGET} PRIVATE ${ARGN} GTest::gtest_main frazil_warnings)
  string(REGEX REPLACE "(_integration|_interop)?_test$" "" FOLDER ${NAME})
  frazil_precompile(${TARGET} ${FOLDER} frazil_test)
  frazil_unite(${TARGET})
  set(HOW DISCOVERY_MODE PRE_TEST WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  if(LABEL STREQUAL integration)
    gtest_discover_tests(${TARGET} ${HOW} TEST_FILTER "-*Interop*" PROPERTIES LABELS integration TIMEOUT 900)
    gtest_discover_tests(${TARGET} ${HOW} TEST_FILTER "*Interop*" PROPERTIES LABELS interop TIMEOUT 900)
  else()
    gtest_discover_tests(${TARGET} ${HOW} PROPERTIES LABELS ${LABEL} TIMEOUT 900)
  endif()
  if(LABEL STREQUAL unit)
    add_dependencies(unit_tests ${TARGET})
  endif()
endfunction()
