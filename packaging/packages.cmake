# Debian's packages, of what is built already (`./dev package`): nuthatch, the program and its service; libnuthatch0, the
# shared library; libnuthatch-dev, to compile with it. They belong to the release of Debian that they are built on.
set(debian ${CMAKE_CURRENT_SOURCE_DIR}/debian)
set(NUTHATCH_MAINTAINER "the nuthatch authors <nuthatch@localhost>" CACHE STRING "who answers for the packages")

# A release of Debian that is newer has the higher version, so that an upgrade of it upgrades these.
set(system deb)
set(release "")
set(codename unstable)
file(STRINGS /etc/os-release lines REGEX "^(ID|VERSION_ID|VERSION_CODENAME)=")
foreach(line ${lines})
  string(REGEX MATCH "^([A-Z_]+)=\"?([^\"]*)" _ ${line})
  if(CMAKE_MATCH_1 STREQUAL "VERSION_ID")
    set(release ${CMAKE_MATCH_2})
  elseif(CMAKE_MATCH_1 STREQUAL "VERSION_CODENAME")
    set(codename ${CMAKE_MATCH_2})
  elseif(NOT CMAKE_MATCH_2 STREQUAL "debian")
    set(system ${CMAKE_MATCH_2})
  endif()
endforeach()
set(package_release "1+${system}${release}")
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC) # or SOURCE_DATE_EPOCH, where that is said
configure_file(debian/changelog.in changelog.Debian @ONLY)

# ---- what is in packages only ----
install(FILES ${debian}/nuthatch.service DESTINATION lib/systemd/system COMPONENT server EXCLUDE_FROM_ALL)
install(FILES ${debian}/nuthatch.yaml DESTINATION /etc/nuthatch COMPONENT server EXCLUDE_FROM_ALL)
# Debian wants pages and changelogs compressed, the same each time.
install(CODE "execute_process(COMMAND gzip -9nf \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_MANDIR}/man1/nuthatch.1\" COMMAND_ERROR_IS_FATAL ANY)"
        COMPONENT server EXCLUDE_FROM_ALL)
foreach(component_and_package server:nuthatch library:libnuthatch0 dev:libnuthatch-dev)
  string(REGEX MATCH "(.*):(.*)" _ ${component_and_package})
  set(component ${CMAKE_MATCH_1})
  set(folder share/doc/${CMAKE_MATCH_2})
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${CMAKE_MATCH_2})
  install(FILES ${debian}/copyright ${CMAKE_CURRENT_BINARY_DIR}/changelog.Debian DESTINATION ${folder}
          COMPONENT ${component} EXCLUDE_FROM_ALL)
  install(FILES ${PROJECT_SOURCE_DIR}/CHANGELOG.md DESTINATION ${folder} RENAME changelog COMPONENT ${component} EXCLUDE_FROM_ALL)
  foreach(name changelog changelog.Debian)
    install(CODE "execute_process(COMMAND gzip -9nf \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${folder}/${name}\" COMMAND_ERROR_IS_FATAL ANY)"
            COMPONENT ${component} EXCLUDE_FROM_ALL)
  endforeach()
endforeach()

# ---- the packages ----
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME nuthatch)
set(CPACK_PACKAGE_CONTACT ${NUTHATCH_MAINTAINER})
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON) # for /etc
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL server library dev)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_INSTALL_CMAKE_PROJECTS "${PROJECT_BINARY_DIR};nuthatch;ALL;/")

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${package_release})
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${NUTHATCH_MAINTAINER})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON) # dpkg-shlibdeps says which packages have what is linked
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")

set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION database)
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA
    "${debian}/conffiles;${debian}/postinst;${debian}/prerm;${debian}/postrm")
set(CPACK_DEBIAN_SERVER_DESCRIPTION "cache server, caching gateway and mock API
nuthatch stands between services and the slow things they depend on: a
caching reverse proxy for HTTP APIs, a cache server that speaks the
protocols of Redis and memcached, and a JSON REST API from a file, in one
process.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${debian}/triggers)
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION "concurrent in-process cache, shared library
libnuthatch is a store of bytes by bytes for programs that want a cache
inside their own process: exact memory, expiry, eviction, leases, tags and
warm restarts.")

set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libnuthatch0 (= ${PROJECT_VERSION}-${package_release})")
set(CPACK_DEBIAN_DEV_DESCRIPTION "concurrent in-process cache, to compile with
The header, the static library, and what pkg-config and CMake want to know
of libnuthatch.")

include(CPack)
