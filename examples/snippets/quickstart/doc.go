// Command quickstart is the program of the README.
package main
