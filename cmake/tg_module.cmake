# One call per target. LAYER is checked at configure time, so that a wrong link fails before it compiles.
#
#   core     pure: links base_core, other core libraries of the same service, and base_price
#   base     a primitive under base/
#   adapter  may link anything but another service
#   app      wiring and mains
#
# tg_library(name LAYER layer [OPTIMISED] SOURCES ... [LINK ...] [ALONE ...])   OPTIMISED: -O2 in every preset, for what
#         computes a model
# tg_binary(name OUTPUT file SOURCES ... [LINK ...] [ALONE ...])
# tg_test(name SOURCES ... [LINK ...] [ALONE ...] [LABELS unit|integration|golden|tidy, tsan beside one of them for the concurrent cores
#         without gRPC: Debian's is not instrumented, so every message it hands over looks like a race] [TIMEOUT s])

# Headers are most of a file's time. The sources of a target are compiled together, some six in one translation unit, which
# halves a cold build and asks two things of them:
#   - A name in an anonymous namespace is the only one of its target and of the headers there: an overload in it hides theirs.
#     Say what it is of (kInsertGrant, not kInsert), share what is the same, or put a test into a namespace named as its file.
#   - A file includes what it uses, although nobody notices here when it does not: -DTG_UNITY=OFF compiles each on its own and
#     does. It is also the faster way for who edits one file again and again.
# ALONE names the sources of a target that stay out of it, or every one if it names none. Sources with COMPILE_OPTIONS or
# COMPILE_DEFINITIONS of their own stay out by themselves.
option(TG_UNITY "Compile the sources of a target together, some six in one translation unit" ON)

set(TG_SERVICES gateway scheduler worker billing)

function(tg_check_layer name layer links)
  string(REGEX MATCH "^(gateway|scheduler|worker|billing|cli)" owner ${name})
  foreach(link ${links})
    string(REGEX MATCH "^(gateway|scheduler|worker|billing|cli)_" other ${link})
    if(other AND owner AND NOT other STREQUAL "${owner}_" AND NOT owner STREQUAL "cli")
      message(FATAL_ERROR "${name} links ${link}: services meet in proto/ only")
    endif()
    if(layer STREQUAL "core" AND NOT link MATCHES "^(base_core|base_price|${owner}_.*)$")
      message(FATAL_ERROR "${name} is LAYER core and may not link ${link}")
    endif()
  endforeach()
endfunction()

# Reads the ARG_ variables of the function that calls it.
function(tg_unite name)
  # The fuzz targets are built by Clang, and few.
  if(TG_UNITY AND NOT TG_FUZZ AND NOT "ALONE" IN_LIST ARG_KEYWORDS_MISSING_VALUES)
    set(united ${ARG_SOURCES})
    list(FILTER united INCLUDE REGEX "\\.cc$")
    if(ARG_ALONE)
      list(REMOVE_ITEM united ${ARG_ALONE})
      set_source_files_properties(${ARG_ALONE} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    endif()
    list(LENGTH united count)
    if(count GREATER 1)
      # Six, give or take two, and the units of a target alike: eight sources are one unit, nine are five and four.
      math(EXPR units "(${count} + 3) / 6")
      if(units EQUAL 0)
        set(units 1)
      endif()
      math(EXPR batch "(${count} + ${units} - 1) / ${units}")
      set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${batch})
    endif()
  endif()
endfunction()

function(tg_library name)
  cmake_parse_arguments(ARG "OPTIMISED" "LAYER" "SOURCES;LINK;ALONE" ${ARGN})
  tg_check_layer(${name} "${ARG_LAYER}" "${ARG_LINK}")
  set(has_source FALSE)
  foreach(source ${ARG_SOURCES})
    if(source MATCHES "\\.(cc|cu)$")
      set(has_source TRUE)
    endif()
  endforeach()
  if(has_source)
    add_library(${name} STATIC ${ARG_SOURCES})
    target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${ARG_LINK} PRIVATE tg_warnings)
    if(ARG_OPTIMISED)
      target_compile_options(${name} PRIVATE -O2 ${TG_OPTIMISED_FLAGS})
    endif()
    tg_unite(${name})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} INTERFACE ${ARG_LINK})
  endif()
endfunction()

function(tg_binary name)
  cmake_parse_arguments(ARG "" "OUTPUT" "SOURCES;LINK;ALONE" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} tg_warnings)
  if(ARG_OUTPUT)
    set_target_properties(${name} PROPERTIES OUTPUT_NAME ${ARG_OUTPUT})
  endif()
  tg_unite(${name})
endfunction()

function(tg_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;LINK;ALONE;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} tg_warnings GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE TG_SOURCE_DIR="${CMAKE_SOURCE_DIR}" TG_BINARY_DIR="${CMAKE_BINARY_DIR}")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  tg_unite(${name})
  # A failure of gtest names its line anyway. A sanitizer's report names functions of a test, and lines of what it calls;
  # -DTG_UNITY=OFF gives lines of both.
  if(TG_UNITY)
    target_compile_options(${name} PRIVATE $<$<CONFIG:Debug>:-g0>)
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  add_dependencies(tidegate_tests ${name})
  if("golden" IN_LIST ARG_LABELS)
    add_dependencies(tidegate_golden_tests ${name})
  endif()
  if("tsan" IN_LIST ARG_LABELS)
    add_dependencies(tidegate_tsan_tests ${name})
  endif()
  # Who may take longest starts first, also where no run before told how long each takes: one that starts late ends alone.
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} COST ${ARG_TIMEOUT})
endfunction()
