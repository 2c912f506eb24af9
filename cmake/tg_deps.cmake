# Every outside library, by its Debian 12 package. Order matters: Protobuf in module mode before gRPC.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)                       # libfmt-dev
find_package(OpenSSL REQUIRED)                   # libssl-dev
find_package(absl REQUIRED)                      # libabsl-dev
find_package(Protobuf REQUIRED)                  # libprotobuf-dev, protobuf-compiler
find_package(gRPC CONFIG REQUIRED)               # libgrpc++-dev, protobuf-compiler-grpc
find_package(CURL REQUIRED)                      # wanted by prometheus-cpp's package file
find_package(prometheus-cpp CONFIG REQUIRED)     # prometheus-cpp-dev
find_package(GTest REQUIRED)                     # libgtest-dev, libgmock-dev
find_package(PkgConfig REQUIRED)
pkg_check_modules(pqxx REQUIRED IMPORTED_TARGET libpqxx)     # libpqxx-dev
pkg_check_modules(hiredis REQUIRED IMPORTED_TARGET hiredis)  # libhiredis-dev
# Not named re2: gRPC's package file would take re2_FOUND of a second configuration for its own.
pkg_check_modules(tg_re2 REQUIRED IMPORTED_TARGET re2)       # libre2-dev
pkg_check_modules(tg_sodium REQUIRED IMPORTED_TARGET libsodium)  # libsodium-dev
pkg_check_modules(pangocairo REQUIRED IMPORTED_TARGET pangocairo)  # libpango1.0-dev
pkg_check_modules(cairo_pdf REQUIRED IMPORTED_TARGET cairo-pdf)    # libcairo2-dev, which libpango1.0-dev brings

# The gateway's allocator: a sixth of a request's CPU time less than with the C library's. A sanitizer brings its own.
if(NOT TG_SANITIZE)
  pkg_check_modules(tg_jemalloc REQUIRED IMPORTED_TARGET jemalloc)  # libjemalloc-dev
endif()

# Boost: headers of 1.81 only (libboost1.81-dev). No compiled Boost library is linked.
add_library(tg_boost INTERFACE)
find_path(TG_BOOST_INCLUDE boost/beast.hpp REQUIRED)
target_include_directories(tg_boost SYSTEM INTERFACE ${TG_BOOST_INCLUDE})
target_compile_definitions(tg_boost INTERFACE BOOST_ALL_NO_LIB BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_REGEX
  BOOST_BEAST_USE_STD_STRING_VIEW)
target_link_libraries(tg_boost INTERFACE Threads::Threads)
