# Language level, warnings, sanitizers, output folders. Nothing here names a target.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
# Sanitized and unoptimised: the code generator is most of a build's time, and the hot kernels ask for -O2 themselves.
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")

# The compiler collects its garbage at 128 MiB, again and again: a tenth to a quarter of its time on a file that includes Asio.
# A compiler now takes up to 1.5 GB.
add_compile_options($<$<CXX_COMPILER_ID:GNU>:SHELL:--param=ggc-min-expand=200> $<$<CXX_COMPILER_ID:GNU>:SHELL:--param=ggc-min-heapsize=1500000>)

find_program(TG_CCACHE ccache)
if(TG_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros ${TG_CCACHE})
endif()

# A quarter to a half of the default linker's time, on some sixty programs.
find_program(TG_LLD ld.lld)
find_program(TG_GOLD ld.gold)
if(TG_LLD)
  add_link_options(-fuse-ld=lld)
elseif(TG_GOLD)
  add_link_options(-fuse-ld=gold)
endif()

add_library(tg_warnings INTERFACE)
target_compile_options(tg_warnings INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  # GCC 12 reports a false mismatch at Asio's awaitable frames.
  -Wno-mismatched-new-delete
  # GCC 12 false positives inside std::variant, std::expected and fmt once inlined.
  -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds -Wno-stringop-overread
  -Wno-missing-field-initializers
  # A class of one source with members of its anonymous namespace: that is no header, also where TG_UNITY includes it.
  -Wno-subobject-linkage)

if(TG_SANITIZE)
  add_compile_options(-fsanitize=${TG_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TG_SANITIZE})
  if(TG_SANITIZE MATCHES "thread")
    # ThreadSanitizer does not understand bare fences. Asio's are beside locks that it does understand.
    add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
    add_compile_options(-Wno-tsan)
  endif()
  if(TG_SANITIZE MATCHES "address")
    # Checks by call: half the code to generate.
    add_compile_options(--param=asan-instrumentation-with-call-threshold=0)
    set(TG_OPTIMISED_FLAGS --param=asan-instrumentation-with-call-threshold=7000)
  endif()
  if(TG_SANITIZE MATCHES "undefined")
    # A check at every dereference doubles the code, and AddressSanitizer finds what they would find.
    add_compile_options(-fno-sanitize=null,alignment,object-size)
    add_compile_options(-fno-sanitize-recover=undefined)
    # The distribution's protobuf and gRPC headers downcast across shared objects without RTTI visibility.
    add_compile_options(-fno-sanitize=vptr)
  endif()
endif()

if(TG_FUZZ)
  # Clang 14 cannot read the std::expected of GCC 12's library: see the file there.
  include_directories(BEFORE SYSTEM ${CMAKE_SOURCE_DIR}/tests/fuzz/clang14)
  add_compile_options(-Wno-unknown-warning-option)
  # Coverage everywhere; the loop of libFuzzer only in the targets. Without vptr: see above.
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all
    -fno-omit-frame-pointer -UNDEBUG)
  add_link_options(-fsanitize=address,undefined)
endif()
